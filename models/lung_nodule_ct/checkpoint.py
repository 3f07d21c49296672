"""Where training stands, on disk: numbers in safetensors, the rest in JSON; no pickle."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn


def save(folder: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, note: dict[str, Any]) -> None:
    """Write everything that the next epoch needs; the old checkpoint is replaced only when the new one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
    target = folder / "checkpoint.safetensors"
    plain = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items()}
    save_file(plain, target.with_suffix(".tmp"), metadata={"note": json.dumps(note)})
    target.with_suffix(".tmp").replace(target)


def load(folder: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put a checkpoint back in place and return its note; None where there is none."""
    path = folder / "checkpoint.safetensors"
    if not path.exists():
        return None
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        note: dict[str, Any] = json.loads((opened.metadata() or {})["note"])
    tensors = load_file(path)
    model.load_state_dict(_part(tensors, "model."))
    average.load_state_dict(_part(tensors, "average."))
    current = optimizer.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    current["state"] = state
    optimizer.load_state_dict(current)
    return note


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
