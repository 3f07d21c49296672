"""Train and measure ``lung_nodule_ct`` on synthetic nodules in the real series of a data folder.

The shipped weights see every series. How well that carries over is measured apart: for each series a shorter training
that never sees it, tested on nodules inserted into it.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from models import registry
from models.card import ModelCard, read_card
from models.card_writer import render_card
from models.lung_nodule_ct import evaluate as measure
from models.lung_nodule_ct import fit, network, series
from models.lung_nodule_ct.scene import Scene, prepare
from models.threads import cpu_threads

ROOM = Path(__file__).parent
CROSS_SHARE = 0.5  # of the epochs, for each training that leaves a series out
HOW = (
    "all nodules are synthetic, inserted in HU into the real series named; a nodule counts as found where a candidate's centre lies "
    "within its radius (at least 5 mm); candidates on unlabelled compact real structures are neither right nor wrong; false positives "
    "repeat from copy to copy, because the copies of a series share its anatomy; no figure is about real nodules"
)


def train(
    data: Path,
    out: Path,
    *,
    seed: int = 0,
    epochs: int = fit.EPOCHS,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    cross: bool = True,
    steps: int = fit.STEPS,
    patches: int = fit.PATCHES,
    copies: int = measure.COPIES,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml and metrics.json to ``out``; return the metrics.

    One CPU thread. ``cross`` False leaves out the trainings that hold a series back; fewer ``steps`` per epoch, ``patches``
    and measured ``copies`` of each series are for tests.
    """
    out.mkdir(parents=True, exist_ok=True)
    card = read_card(ROOM / "card.toml")
    with cpu_threads(1):
        scenes = scenes_of(data, seed)
        weights = fit.fit(scenes, out, seed=seed, epochs=epochs, steps=steps, patches=patches, resume=resume, progress=progress)
        metrics: dict[str, Any] = {"measured": HOW}
        if cross and len(scenes) > 1:
            metrics["cross_series"] = cross_series(scenes, out, card, seed, max(1, round(epochs * CROSS_SHARE)), resume, progress)
        metrics["same_series"] = same_series(weights, scenes, card, seed, progress, copies)
    training = {
        "seed": seed, "epochs": epochs, "steps": steps, "batch": fit.BATCH, "patches": patches, "rate": fit.RATE,
        "series": [scene.name for scene in scenes], "torch": torch.__version__, "machine": f"{platform.machine()}, one thread",
    }  # fmt: skip
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = replace(card, weights_sha256=digest, network=dict(network.DEFAULT), training=training, metrics=metrics)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


def cross_series(
    scenes: Sequence[Scene], out: Path, card: ModelCard, seed: int, epochs: int, resume: bool, progress: Callable[[str], None]
) -> dict[str, Any]:
    """For each series: a training without it, and what that finds in it."""
    results = {}
    for held in scenes:
        others = [scene for scene in scenes if scene is not held]
        progress(f"training {epochs} epochs without {held.name}")
        weights = fit.fit(others, out / f"without-{held.name}", seed=seed, epochs=epochs, resume=resume, progress=progress)
        copies = measure.run(loaded(weights, network.DEFAULT), held, card.thresholds, seed=seed + 1000, progress=progress)
        trained = {"trained_on": [scene.name for scene in others], "epochs": epochs}
        results[held.name] = {**trained, **measure.figures(copies, card.thresholds["score"])}
    return results


def same_series(
    weights: Path, scenes: Sequence[Scene], card: ModelCard, seed: int, progress: Callable[[str], None], copies: int = measure.COPIES
) -> dict[str, Any]:
    """New nodules in the very series that the weights were trained on: what they learned, not how it carries over."""
    model = loaded(weights, network.DEFAULT)
    results = {}
    for scene in scenes:
        tried = measure.run(model, scene, card.thresholds, seed=seed + 2000, copies=copies, progress=progress)
        results[scene.name] = measure.figures(tried, card.thresholds["score"])
    return results


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights on new synthetic nodules in every series of ``data``."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    seed = int(card.training["seed"])
    with cpu_threads(2):
        figures = same_series(weights, scenes_of(data, seed), card, seed + 5, progress)
    return {"measured": HOW, "same_series": figures}


def loaded(weights: Path, settings: Mapping[str, Any]) -> nn.Module:
    """A network with these weights, ready to answer."""
    model = network.build(settings)
    model.load_state_dict(load_file(weights))
    return model.eval()


def scenes_of(data: Path, seed: int, names: tuple[str, ...] = ()) -> list[Scene]:
    """Every CT series of the data folder, prepared."""
    return [prepare(folder.name, *series.read(folder), seed) for folder in series.folders(data, names)]
