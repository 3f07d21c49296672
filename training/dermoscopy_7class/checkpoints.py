"""Checkpoints by steps: one folder each, safetensors and JSON, the last two kept. Nothing is pickled."""

import shutil
from pathlib import Path
from typing import Any

import torch

from models import checkpoint

KEPT = 2  # processes killed together differ by at most one checkpoint, so two of each always have a step in common
PREFIX = "step-"


def save(
    folder: Path, step: int, net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Write ``folder``/step-N and remove all but the last ``KEPT``. A crash leaves the previous ones whole."""
    checkpoint.save(folder / f"{PREFIX}{step:06d}", net, ema, optimizer, {**state, "step": step})
    for old in steps(folder)[:-KEPT]:
        shutil.rmtree(folder / f"{PREFIX}{old:06d}")


def steps(folder: Path) -> list[int]:
    """The steps that ``folder`` holds a whole checkpoint of, in order."""
    return sorted(int(path.parent.name.removeprefix(PREFIX)) for path in folder.glob(f"{PREFIX}*/checkpoint.safetensors"))


def common_step(folders: list[Path]) -> int | None:
    """The newest step that all processes have a checkpoint of; None where there is none."""
    shared = set.intersection(*(set(steps(folder)) for folder in folders))
    return max(shared, default=None)


def load(folder: Path, step: int, net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Restore network, average and optimizer of ``step`` in place; return the state. Later checkpoints are removed."""
    state = checkpoint.load(folder / f"{PREFIX}{step:06d}", net, ema, optimizer)
    assert state is not None
    for later in steps(folder):
        if later > step:
            shutil.rmtree(folder / f"{PREFIX}{later:06d}")
    return state
