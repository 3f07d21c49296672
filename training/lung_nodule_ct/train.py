"""Trains ``lung_nodule_ct`` on synthetic nodules in the real series of a data folder, and measures the shipped weights on real ones.

The released weights are trained on every series. How well that transfers is measured by shorter trainings: each leaves one series out
and is tested on nodules inserted into it.
"""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models import registry
from models.card import ModelCard, read_card
from models.card_writer import render_card
from models.lung_nodule_ct import two_stages
from models.torch_threads import cpu_threads
from training import checkpoint, plots
from training.lung_nodule_ct.detection_metrics import detection_metrics
from training.lung_nodule_ct.evaluate import COPIES, evaluate_series
from training.lung_nodule_ct.fit import first_stage, second_stage
from training.lung_nodule_ct.real.calibration import probability_by
from training.lung_nodule_ct.real.measurement.real_metrics import real_metrics
from training.lung_nodule_ct.real.release import examine
from training.lung_nodule_ct.series.series_files import read_hu, series_folders
from training.lung_nodule_ct.series.training_series import TrainingSeries, prepare_series
from training.precision import precision_name

MODEL_FOLDER = registry.MODELS_FOLDER / "lung_nodule_ct"
CROSS_SHARE = 0.6  # share of the epochs of each training that leaves a series out
# The wording is that of the shipped card.
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
    epochs: int = first_stage.EPOCHS,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    cross: bool = True,
    steps: int = first_stage.STEPS,
    patches: int = first_stage.PATCHES,
    copies: int = COPIES,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml, metrics.json and training.png to ``out``; return the metrics.

    One CPU thread. ``cross`` False leaves out the trainings that hold a series back; fewer ``steps`` per epoch, ``patches``
    and measured ``copies`` of each series are for tests.
    """
    out.mkdir(parents=True, exist_ok=True)
    card = read_card(MODEL_FOLDER / "card.toml")
    run = TrainingRun(out, seed, epochs, steps, patches, resume, progress)
    with cpu_threads(1):
        series = load_series(data, seed)
        trainings = [("every-series", series, epochs)]
        if cross and len(series) > 1:
            short = max(1, round(epochs * CROSS_SHARE))
            trainings += [(f"without-{held.name}", [s for s in series if s is not held], short) for held in series]
        firsts = [run.train_first(folder, chosen, count) for folder, chosen, count in trainings]
        joined = [run.train_second(folder, chosen, first) for (folder, chosen, _), first in zip(trainings, firsts, strict=True)]
        weights = Path(shutil.copy(joined[0], out / "weights.safetensors"))
        shutil.copy(joined[0].with_name("training.png"), out)
        metrics: dict[str, Any] = {"measured": HOW}
        if len(joined) > 1:
            metrics["cross_series"] = {}
            for held, (_, chosen, count), path in zip(series, trainings[1:], joined[1:], strict=True):
                found = measure_weights(path, [held], card, seed + 1000, progress, copies)[held.name]
                metrics["cross_series"][held.name] = {"trained_on": [one.name for one in chosen], "epochs": count, **found}
        metrics["same_series"] = measure_weights(weights, series, card, seed + 2000, progress, copies)
    training = {
        "seed": seed, "epochs": epochs, "steps": steps, "batch": first_stage.BATCH, "patches_per_series": patches,
        "rate": first_stage.RATE,
        "second_stage": {
            "epochs": second_stage.EPOCHS, "batch": second_stage.BATCH, "looks": second_stage.LOOKS, "rate": second_stage.RATE,
        },
        "series": [one.name for one in series], "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, convolutions in {precision_name()}",
    }  # fmt: skip
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    card = replace(card, weights_sha256=digest, network=dict(two_stages.SETTINGS), training=training, metrics=metrics)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    return metrics


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """The settings that all trainings of one run share."""

    out: Path
    seed: int
    epochs: int
    steps: int
    patches: int
    resume: bool
    progress: Callable[[str], None]

    def train_first(self, folder: str, series: Sequence[TrainingSeries], epochs: int) -> Path:
        """Train the first stage; return its weights."""
        self.progress(f"first stage, {folder}: {epochs} epochs on {', '.join(one.name for one in series)}")
        return first_stage.train_first_stage(
            series, self.out / folder / "first", seed=self.seed, epochs=epochs, steps=self.steps, patches=self.patches,
            resume=self.resume, bank_folder=self.out / "bank", progress=self.progress,
        )  # fmt: skip

    def train_second(self, folder: str, series: Sequence[TrainingSeries], first: Path) -> Path:
        """Train the second stage; return the weights of both stages in one file."""
        self.progress(f"second stage, {folder}")
        second = second_stage.train_second_stage(
            first, series, self.out / folder / "second", seed=self.seed, steps=self.steps, patches=self.patches,
            resume=self.resume, bank_folder=self.out / "bank", progress=self.progress,
        )  # fmt: skip
        histories = {name: checkpoint.read_state(self.out / folder / name)["history"] for name in ("first", "second")}
        plots.draw_training_curves(histories, self.out / folder / "training.png")
        return two_stages.join_weights(first, second, self.out / folder / "weights.safetensors")


def measure_weights(
    weights: Path, series: Sequence[TrainingSeries], card: ModelCard, seed: int, progress: Callable[[str], None], copies: int = COPIES
) -> dict[str, Any]:
    """By series: the metrics of these weights on nodules inserted into copies of it."""
    detector = two_stages.TwoStageDetector(weights, two_stages.SETTINGS)
    results = {}
    for one in series:
        both, alone = evaluate_series(detector, one, card.thresholds, seed=seed, copies=copies, progress=progress)
        results[one.name] = detection_metrics(both, card.thresholds["score"], alone)
    return results


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure the shipped weights on real nodules in the volumes that their training held out."""
    weights = registry.verify_weights(MODEL_FOLDER)
    card = read_card(MODEL_FOLDER / "card.toml")
    with cpu_threads(2), tempfile.TemporaryDirectory() as folder:
        scans = examine(data, weights, card, Path(folder), progress)
    found = real_metrics(scans, probability_by(card.thresholds), card.thresholds["score"])
    return {"measured": card.metrics["measured"], "held_out_patients": found}


def load_series(data: Path, seed: int, names: tuple[str, ...] = ()) -> list[TrainingSeries]:
    """Every CT series of the data folder, prepared; ``names``: those whose folder's name starts with one of them."""
    return [prepare_series(folder.name, *read_hu(folder), seed) for folder in series_folders(data, names)]
