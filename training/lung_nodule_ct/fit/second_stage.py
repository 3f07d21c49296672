"""The training loop of the second stage: seeded, resumable after every epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.ct.isotropic_grid import Float
from models.lung_nodule_ct import second_stage
from training import checkpoint
from training.lung_nodule_ct.patches.candidate_examples import INT8_SCALE, KEPT, CandidateExamples, build_examples
from training.lung_nodule_ct.patches.patch_bank import build_bank
from training.lung_nodule_ct.series.training_series import TrainingSeries
from training.precision import mixed_precision

EPOCHS = 10
STEPS = 60
BATCH = 16
LOOKS = 1200  # varied patches in which candidates are searched
RATE = 5e-4
AVERAGE_DECAY = 0.99


def train_second_stage(
    first: Path,
    series: Sequence[TrainingSeries],
    out: Path,
    *,
    seed: int,
    bank_folder: Path,
    patches: int,
    epochs: int = EPOCHS,
    steps: int = STEPS,
    looks: int = LOOKS,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    until: int | None = None,
) -> Path:
    """Train on the candidates of the first stage (weights ``first``) and write ``out/weights.safetensors`` after every epoch.

    ``until`` stops after that epoch of the schedule of ``epochs``, as an interruption would.
    """
    bank = build_bank(series, bank_folder, seed=seed, size=patches, progress=progress)
    examples = build_examples(first, bank, out, seed=seed, looks=looks, progress=progress)
    settings = {"seed": seed, "epochs": epochs, "steps": steps, "first": examples.first, "examples": len(examples.nodule)}
    recipe = SecondStageRecipe(seed, epochs, steps)
    start = partial(initialised_network, first)
    return fit_classifier(examples, out, settings, recipe, start, resume=resume, progress=progress, until=until)


@dataclass(frozen=True, slots=True)
class SecondStageRecipe:
    """How long and how fast the second stage is trained."""

    seed: int
    epochs: int
    steps: int
    rate: float = RATE


def fit_classifier(
    examples: CandidateExamples, out: Path, settings: Mapping[str, Any], recipe: SecondStageRecipe, begin: Callable[[], nn.Module], *,
    resume: bool = True, progress: Callable[[str], None] = print, until: int | None = None,
) -> Path:  # fmt: skip
    """Train the network that ``begin`` makes, as ``train_second_stage`` does; a checkpoint with other ``settings`` is of another recipe."""
    seed, epochs, steps = recipe.seed, recipe.epochs, recipe.steps
    torch.manual_seed(seed)
    model = begin()
    average, optimizer = average_and_optimizer(model)
    state = checkpoint.load(out, model, average, optimizer) if resume else None
    start, history = 0, list[dict[str, float]]()
    if state is not None and state["settings"] == settings:
        start, history = int(state["epoch"]), state["history"]
    elif state is not None:
        progress("the checkpoint of the second stage is of another recipe: starting from the beginning")
        torch.manual_seed(seed)
        model = begin()
        average, optimizer = average_and_optimizer(model)
    loss = nn.BCEWithLogitsLoss()
    for epoch in range(start, min(epochs, until or epochs)):
        began, total = time.monotonic(), 0.0
        torch.manual_seed(seed * 1000 + epoch)  # of dropout: the same after an interruption
        rng = np.random.default_rng([seed, 29, epoch])
        model.train()
        for step in range(steps):
            done = (epoch * steps + step) / (epochs * steps)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * min(1.0, (epoch * steps + step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
            values, truth = random_cubes(examples, rng, BATCH)
            optimizer.zero_grad(set_to_none=True)
            with mixed_precision():
                logits = model(torch.from_numpy(values))
            value = loss(logits.float(), torch.from_numpy(truth))
            value.backward()
            optimizer.step()
            average.update_parameters(model)
            total += float(value.detach())
        history.append({"epoch": epoch + 1, "loss": round(total / steps, 4)})
        checkpoint.save(out, model, average, optimizer, {"epoch": epoch + 1, "settings": dict(settings), "history": history})
        save_file({k: v.detach().cpu().contiguous() for k, v in average.module.state_dict().items()}, out / "weights.safetensors")
        progress(f"second stage, epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}, {time.monotonic() - began:.0f} s")
    return out / "weights.safetensors"


def random_cubes(examples: CandidateExamples, rng: np.random.Generator, size: int) -> tuple[Float, Float]:
    """(N, 1, 32, 32, 32) values and (N, 1) truth, half of them nodules; shifted, rotated, flipped, with varied noise and brightness."""
    right, wrong = np.flatnonzero(examples.nodule), np.flatnonzero(~examples.nodule)
    chosen = [int(rng.choice(right)) for _ in range(size // 2)] + [int(rng.choice(wrong)) for _ in range(size - size // 2)]
    edge = second_stage.INPUT_EDGE
    cubes = []
    for index in chosen:
        low = np.clip(np.round(rng.normal(4, 1.5, 3)), 0, KEPT - edge).astype(int)
        cube = examples.cubes[index][tuple(slice(a, a + edge) for a in low)].astype(np.float32) / np.float32(INT8_SCALE)
        cube = np.rot90(cube, int(rng.integers(4)), (1, 2))
        for axis in range(3):
            if rng.random() < 0.5:
                cube = np.flip(cube, axis)
        if rng.random() < 0.3:
            cube = cube + rng.standard_normal(cube.shape, dtype=np.float32) * np.float32(rng.uniform(0.005, 0.03))
        cubes.append(np.clip(cube * np.float32(rng.uniform(0.95, 1.05)) + np.float32(rng.uniform(-0.03, 0.03)), -1, 1))
    return np.stack(cubes)[:, None], examples.nodule[chosen].astype(np.float32)[:, None]


def initialised_network(first: Path) -> nn.Module:
    """A new network with the encoder of the first stage."""
    model = second_stage.build()
    second_stage.copy_encoder(model, load_file(first))
    return model


def average_and_optimizer(model: nn.Module) -> tuple[AveragedModel, torch.optim.AdamW]:
    """The running average of the weights, and the optimizer."""
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE_DECAY), use_buffers=True)  # type: ignore[no-untyped-call]
    return average, torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-3)
