"""The training loop of the first stage: seeded, resumable after every epoch.

The same seed, data and thread count give the same weights on a CPU.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.losses.dice import DiceCELoss
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.lung_nodule_ct import network
from training import checkpoint
from training.lung_nodule_ct.patches.augment import random_batch
from training.lung_nodule_ct.patches.patch_bank import IGNORED, NODULE, PatchBank, build_bank
from training.lung_nodule_ct.series.training_series import TrainingSeries

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

    Convolutions in bfloat16, loss and weights in float32. ``patches`` of each series are kept in ``bank_folder`` (default: in ``out``).
    ``until`` stops after that epoch of the schedule of ``epochs``, as an interruption would.
    """
    torch.manual_seed(seed)
    model = _network(device)
    average, optimizer = average_and_optimizer(model)
    # Dice of each patch by itself, so that a nodule of 4 mm counts as much as one of 30 mm.
    weight = torch.tensor([NODULE_WEIGHT], device=device)
    loss = DiceCELoss(sigmoid=True, batch=False, smooth_nr=SMOOTH, smooth_dr=SMOOTH, weight=weight)
    bank = build_bank(series, bank_folder or out / "bank", seed=seed, size=patches, progress=progress)
    state = checkpoint.load(out, model, average, optimizer) if resume else None
    settings = {"seed": seed, "epochs": epochs, "steps": steps, "patches": patches, "series": [s.name for s in series]}
    start, history = 0, list[dict[str, float]]()
    if state is not None and state["settings"] == settings:
        start, history = int(state["epoch"]), state["history"]
        progress(f"resumed after epoch {start} of {epochs}")
    elif state is not None:
        progress("the checkpoint is of another recipe: starting from the beginning")
        torch.manual_seed(seed)
        model = _network(device)
        average, optimizer = average_and_optimizer(model)
    for epoch in range(start, min(epochs, until or epochs)):
        began, total = time.monotonic(), 0.0
        rng = np.random.default_rng([seed, 13, epoch])
        model.train()
        for step in range(steps):
            done = (epoch * steps + step) / (epochs * steps)
            warm = min(1.0, (epoch * steps + step + 1) / 100)
            for group in optimizer.param_groups:
                group["lr"] = RATE * warm * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
            optimizer.zero_grad(set_to_none=True)
            value = _step_loss(model, loss, bank, rng, device)
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            average.update_parameters(model)
            total += float(value.detach())
        history.append({"epoch": epoch + 1, "loss": round(total / steps, 4)})
        checkpoint.save(out, model, average, optimizer, {"epoch": epoch + 1, "settings": settings, "history": history})
        weights = {k: v.detach().cpu().contiguous() for k, v in average.module.state_dict().items()}
        save_file(weights, out / "weights.safetensors")
        progress(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}, {time.monotonic() - began:.0f} s")
    return out / "weights.safetensors"


def average_and_optimizer(model: nn.Module) -> tuple[AveragedModel, torch.optim.AdamW]:
    """The running average of the weights, and the optimizer."""
    mean = get_ema_multi_avg_fn(AVERAGE_DECAY)  # type: ignore[no-untyped-call]
    average = AveragedModel(model, multi_avg_fn=mean, use_buffers=True)
    return average, torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-4)


def _network(device: str) -> nn.Module:
    return network.build().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]


def _step_loss(model: nn.Module, loss: DiceCELoss, bank: PatchBank, rng: np.random.Generator, device: str) -> torch.Tensor:
    values, labels = random_batch(bank, rng, BATCH)
    inputs = torch.from_numpy(values).to(device).contiguous(memory_format=torch.channels_last_3d)
    with torch.autocast(device, dtype=torch.bfloat16):
        logits = model(inputs)
    label = torch.from_numpy(labels).to(device)
    # Ignored voxels get a logit of certain background, which adds nothing to the loss.
    logits = logits.float().masked_fill(label == IGNORED, -15.0)
    result: torch.Tensor = loss(logits, (label == NODULE).float())
    return result
