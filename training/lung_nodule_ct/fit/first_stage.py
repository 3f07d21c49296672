"""The training loop of the first stage: seeded, resumable after every epoch.

The same seed, data and thread count give the same weights on a CPU.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.lung_nodule_ct import network
from training import checkpoint
from training.lung_nodule_ct.patches.augment import CROP, random_batch
from training.lung_nodule_ct.patches.draw_patch import IGNORED, NODULE
from training.lung_nodule_ct.patches.patch_bank import PatchBank, build_bank
from training.lung_nodule_ct.series.training_series import TrainingSeries
from training.precision import mixed_precision

EPOCHS = 64
STEPS = 60
BATCH = 6
PATCHES = 1400  # of each series
RATE = 4e-3
NODULE_WEIGHT = 10.0  # nodules fill a thousandth of the voxels; unweighted, the network learns to mark nothing
SMOOTH = 10.0  # voxels, of Dice: the loss of a patch without a nodule is then the marked voxels, and 0 where none is marked
AVERAGE_DECAY = 0.995


def train_first_stage(
    series: Sequence[TrainingSeries],
    out: Path,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    patches: int = PATCHES,
    resume: bool = True,
    device: str = "cpu",
    bank_folder: Path | None = None,
    progress: Callable[[str], None] = print,
    until: int | None = None,
) -> Path:
    """Train and write ``out/weights.safetensors`` (the running average of the weights) after every epoch.

    Convolutions in bfloat16 where the processor has it, loss and weights in float32. ``patches`` of each series are kept in
    ``bank_folder`` (default: in ``out``).
    ``until`` stops after that epoch of the schedule of ``epochs``, as an interruption would.
    """
    bank = build_bank(series, bank_folder or out / "bank", seed=seed, size=patches, progress=progress)
    settings = {"seed": seed, "epochs": epochs, "steps": steps, "patches": patches, "series": [s.name for s in series]}
    recipe = FirstStageRecipe(seed, epochs, steps)
    return fit_network(bank, out, settings, recipe, resume=resume, device=device, progress=progress, until=until)


@dataclass(frozen=True, slots=True)
class FirstStageRecipe:
    """How long and on what the first stage is trained; ``crop`` in voxels, ``initial``: weights to start from (None: random)."""

    seed: int
    epochs: int
    steps: int
    rate: float = RATE
    crop: int = CROP
    initial: Path | None = None


def fit_network(
    bank: PatchBank, out: Path, settings: Mapping[str, Any], recipe: FirstStageRecipe, *, resume: bool = True, device: str = "cpu",
    progress: Callable[[str], None] = print, until: int | None = None,
) -> Path:  # fmt: skip
    """Train on the patches of a bank as ``train_first_stage`` does. ``settings``: a checkpoint with others is of another recipe."""
    model, average, optimizer = _start(recipe, device)
    # Dice of each patch by itself, so that a nodule of 4 mm counts as much as one of 30 mm.
    weight = torch.tensor([NODULE_WEIGHT], device=device)
    loss = DiceCELoss(sigmoid=True, batch=False, smooth_nr=SMOOTH, smooth_dr=SMOOTH, weight=weight)
    state = checkpoint.load(out, model, average, optimizer) if resume else None
    epochs, steps = recipe.epochs, recipe.steps
    start, history = 0, list[dict[str, float]]()
    if state is not None and state["settings"] == settings:
        start, history = int(state["epoch"]), state["history"]
        progress(f"resumed after epoch {start} of {epochs}")
    elif state is not None:
        progress("the checkpoint is of another recipe: starting from the beginning")
        model, average, optimizer = _start(recipe, device)
    for epoch in range(start, min(epochs, until or epochs)):
        began, total = time.monotonic(), 0.0
        rng = np.random.default_rng([recipe.seed, 13, epoch])
        model.train()
        for step in range(steps):
            done = (epoch * steps + step) / (epochs * steps)
            warm = min(1.0, (epoch * steps + step + 1) / 100)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
            optimizer.zero_grad(set_to_none=True)
            value = _step_loss(model, loss, bank, rng, device, recipe)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            average.update_parameters(model)
            total += float(value.detach())
        history.append({"epoch": epoch + 1, "loss": round(total / steps, 4)})
        checkpoint.save(out, model, average, optimizer, {"epoch": epoch + 1, "settings": dict(settings), "history": history})
        weights = {k: v.detach().cpu().contiguous() for k, v in average.module.state_dict().items()}
        save_file(weights, out / "weights.safetensors")
        progress(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}, {time.monotonic() - began:.0f} s")
    return out / "weights.safetensors"


def average_and_optimizer(model: nn.Module) -> tuple[AveragedModel, torch.optim.AdamW]:
    """The running average of the weights, and the optimizer."""
    mean = get_ema_multi_avg_fn(AVERAGE_DECAY)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=mean, use_buffers=True)
    return average, torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-4)


def _start(recipe: FirstStageRecipe, device: str) -> tuple[nn.Module, AveragedModel, torch.optim.AdamW]:
    torch.manual_seed(recipe.seed)
    model = _network(device)
    if recipe.initial is not None:
        model.load_state_dict(load_file(recipe.initial))
    return model, *average_and_optimizer(model)


def _network(device: str) -> nn.Module:
    return network.build().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def _step_loss(
    model: nn.Module, loss: DiceCELoss, bank: PatchBank, rng: np.random.Generator, device: str, recipe: FirstStageRecipe
) -> torch.Tensor:
    values, labels = random_batch(bank, rng, BATCH, recipe.crop)
    inputs = torch.from_numpy(values).to(device).contiguous(memory_format=torch.channels_last_3d)
    with mixed_precision(device):
        logits = model(inputs)
    label = torch.from_numpy(labels).to(device)
    # Ignored voxels get a logit of certain background, which adds nothing to the loss.
    logits = logits.float().masked_fill(label == IGNORED, -15.0)
    result: torch.Tensor = loss(logits, (label == NODULE).float())
    return result
