"""Train and measure ``lung_nodule_ct`` on synthetic nodules in the real series of a data folder.

The shipped weights see every series. How well that carries over is measured apart: for each series a shorter training
that never sees it, tested on nodules inserted into it.
"""

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models import registry
from models.card import ModelCard, read_card
from models.card_writer import render_card
from models.lung_nodule_ct import detector
from models.torch_threads import cpu_threads
from training import checkpoint, plots
from training.lung_nodule_ct import evaluate as measure
from training.lung_nodule_ct import fit, fit_second, series
from training.lung_nodule_ct.scene import Scene, prepare

ROOM = Path(__file__).parents[2] / "models" / "lung_nodule_ct"
CROSS_SHARE = 0.6  # of the epochs, for each training that leaves a series out
HOW = (
    "all nodules are synthetic, inserted in HU into the real series named; a nodule counts as found where a candidate's centre lies "
    "within its radius (at least 5 mm); candidates on unlabelled compact real structures are neither right nor wrong; false positives "
    "repeat from copy to copy, because the copies of a series share its anatomy; the shares found at 1, 2, 4 and 8 are at that many false "
    "positives per scan; density is right where the rule of the card says what was inserted; no figure is about real nodules, and two "
    "series carry no interval"
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
    """Write weights.safetensors, card.toml, metrics.json and training.png to ``out``; return the metrics.

    One CPU thread. ``cross`` False leaves out the trainings that hold a series back; fewer ``steps`` per epoch, ``patches``
    and measured ``copies`` of each series are for tests.
    """
    out.mkdir(parents=True, exist_ok=True)
    card = read_card(ROOM / "card.toml")
    recipe = Recipe(out, seed, epochs, steps, patches, resume, progress)
    with cpu_threads(1):
        scenes = scenes_of(data, seed)
        trained = [("every-series", scenes, epochs)]
        if cross and len(scenes) > 1:
            short = max(1, round(epochs * CROSS_SHARE))
            trained += [(f"without-{held.name}", [s for s in scenes if s is not held], short) for held in scenes]
        firsts = [recipe.first(folder, chosen, count) for folder, chosen, count in trained]
        whole = [recipe.whole(folder, chosen, first) for (folder, chosen, _), first in zip(trained, firsts, strict=True)]
        weights = Path(shutil.copy(whole[0], out / "weights.safetensors"))
        shutil.copy(whole[0].with_name("training.png"), out)
        metrics: dict[str, Any] = {"measured": HOW}
        if len(whole) > 1:
            metrics["cross_series"] = {}
            for held, (_, chosen, count), path in zip(scenes, trained[1:], whole[1:], strict=True):
                figures = measured(path, [held], card, seed + 1000, progress, copies)[held.name]
                metrics["cross_series"][held.name] = {"trained_on": [scene.name for scene in chosen], "epochs": count, **figures}
        metrics["same_series"] = measured(weights, scenes, card, seed + 2000, progress, copies)
    training = {
        "seed": seed, "epochs": epochs, "steps": steps, "batch": fit.BATCH, "patches_per_series": patches, "rate": fit.RATE,
        "second_stage": {"epochs": fit_second.EPOCHS, "batch": fit_second.BATCH, "looks": fit_second.LOOKS, "rate": fit_second.RATE},
        "series": [scene.name for scene in scenes], "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, convolutions in bfloat16",
    }  # fmt: skip
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = replace(card, weights_sha256=digest, network=dict(detector.SETTINGS), training=training, metrics=metrics)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all trainings of one run share."""

    out: Path
    seed: int
    epochs: int
    steps: int
    patches: int
    resume: bool
    progress: Callable[[str], None]

    def first(self, folder: str, scenes: Sequence[Scene], epochs: int) -> Path:
        """The first stage's weights of one training."""
        self.progress(f"first stage, {folder}: {epochs} epochs on {', '.join(scene.name for scene in scenes)}")
        return fit.fit(
            scenes, self.out / folder / "first", seed=self.seed, epochs=epochs, steps=self.steps, patches=self.patches,
            resume=self.resume, bank_folder=self.out / "bank", progress=self.progress,
        )  # fmt: skip

    def whole(self, folder: str, scenes: Sequence[Scene], first: Path) -> Path:
        """Both stages' weights of one training in one file."""
        self.progress(f"second stage, {folder}")
        second = fit_second.fit_second(
            first, scenes, self.out / folder / "second", seed=self.seed, steps=self.steps, patches=self.patches,
            resume=self.resume, bank_folder=self.out / "bank", progress=self.progress,
        )  # fmt: skip
        parts = {name: checkpoint.state(self.out / folder / name)["history"] for name in ("first", "second")}
        plots.curves(parts, self.out / folder / "training.png")
        return detector.join(first, second, self.out / folder / "weights.safetensors")


def measured(
    weights: Path, scenes: Sequence[Scene], card: ModelCard, seed: int, progress: Callable[[str], None], copies: int = measure.COPIES
) -> dict[str, Any]:
    """By series: what these weights find of nodules that were inserted into copies of it."""
    ready = detector.Detector(weights, detector.SETTINGS)
    results = {}
    for scene in scenes:
        both, alone = measure.run(ready, scene, card.thresholds, seed=seed, copies=copies, progress=progress)
        results[scene.name] = measure.figures(both, card.thresholds["score"], alone)
    return results


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights on new synthetic nodules in every series of ``data``."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    seed = int(card.training["seed"])
    with cpu_threads(2):
        figures = measured(weights, scenes_of(data, seed), card, seed + 2005, progress)
    return {"measured": HOW, "same_series": figures}


def scenes_of(data: Path, seed: int, names: tuple[str, ...] = ()) -> list[Scene]:
    """Every CT series of the data folder, prepared."""
    return [prepare(folder.name, *series.read(folder), seed) for folder in series.folders(data, names)]
