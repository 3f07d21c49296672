"""Saves and restores the state of a training as safetensors with JSON metadata; nothing is pickled."""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

FILE = "checkpoint.safetensors"


def save(out: Path, net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write ``out``/checkpoint.safetensors with ``state`` in its metadata; a crash while writing leaves the previous file intact."""
    tensors = {f"net.{k}": v.contiguous() for k, v in net.state_dict().items()}
    tensors |= {f"ema.{k}": v.contiguous() for k, v in ema.state_dict().items()}
    for i, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"opt.{i}.{k}": torch.as_tensor(v).contiguous() for k, v in moments.items()}
    tensors = {k: v.clone() for k, v in tensors.items()}
    out.mkdir(parents=True, exist_ok=True)
    part = out / "checkpoint.part"
    save_file(tensors, part, metadata={"state": json.dumps(state)})
    os.replace(part, out / FILE)


def load(out: Path, net: torch.nn.Module, ema: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Restore all three in place and return the state, or None where ``out`` holds no checkpoint."""
    path = out / FILE
    if not path.is_file():
        return None
    tensors = load_file(path)
    net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
    ema.load_state_dict({k.removeprefix("ema."): v for k, v in tensors.items() if k.startswith("ema.")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("opt."):
            _, index, name = key.split(".")
            moments.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return read_state(out)


def read_state(out: Path) -> dict[str, Any]:
    """The ``state`` that was saved with the checkpoint in ``out``."""
    with safe_open(out / FILE, "pt") as file:
        state: dict[str, Any] = json.loads(file.metadata()["state"])
    return state
