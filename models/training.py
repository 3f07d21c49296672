"""Train or measure a model: dispatch to the room that knows how."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import registry

Progress = Callable[[str], None]


def train(
    name: str,
    data: Path,
    out: Path,
    *,
    seed: int | None = None,
    epochs: int | None = None,
    resume: bool = True,
    progress: Progress = print,
) -> dict[str, Any]:
    """Train ``name`` on ``data`` and write weights.safetensors, card.toml and metrics.json to ``out``.

    Seeded and resumable: where ``out`` holds a checkpoint of the same recipe the training goes on from it.
    ``seed`` and ``epochs`` None mean the room's recipe. Returns the metrics. Raises ModelError where data are missing.
    """
    out.mkdir(parents=True, exist_ok=True)
    module = importlib.import_module(f"models.{registry.folder(name).name}.train")
    asked = {key: value for key, value in (("seed", seed), ("epochs", epochs)) if value is not None}
    metrics: dict[str, Any] = module.train(data, out, **asked, resume=resume, progress=progress)
    return metrics


def evaluate(name: str, data: Path, *, progress: Progress = print) -> dict[str, Any]:
    """The shipped weights' figures on the held-out part of ``data``, by the room's own protocol."""
    module = importlib.import_module(f"models.{registry.folder(name).name}.train")
    metrics: dict[str, Any] = module.evaluate(data, progress=progress)
    return metrics
