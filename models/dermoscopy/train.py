"""Train and measure ``dermoscopy_7class`` on HAM10000."""

import hashlib
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models import registry
from models.calibrate import fit_temperature
from models.card import ModelCard, identity, read_card
from models.card_writer import render_card
from models.dermoscopy.data import LesionImages, first_of_each, load, read_index, validation_lesions
from models.dermoscopy.fit import EPOCHS, NETWORK, SEED, Recipe, fit, logits_of
from models.dermoscopy.measure import cross_fitted_ece, measure
from models.dermoscopy.model import Model
from models.dermoscopy.network import LesionNet
from models.threads import cpu_threads

ROOM = Path(__file__).parent
HOW = (
    "HAM10000, lesions held out by hash (18 % of every class), no lesion on both sides; every image of a held-out lesion counts; "
    "averaged weights of the last epoch, no epoch was selected; the temperature was fitted on the same held-out images, "
    "ece_cross_fitted fits it on one half of their lesions and measures on the other; nothing external was measured"
)


def train(
    data: Path,
    out: Path,
    *,
    seed: int = SEED,
    epochs: int = EPOCHS,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml and metrics.json to ``out``; return the metrics.

    One CPU thread: the same seed gives the same weights on the same machine. The images are decoded once into ``out``.
    ``limit_per_class`` trains on the first images of every class only (tests).
    """
    out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(seed=seed, epochs=epochs)
    with cpu_threads(1):
        rows = read_index(data)
        rows = rows if limit_per_class is None else first_of_each(rows, limit_per_class)
        images = load(data, out, rows, validation_lesions(rows, seed), report=progress)
        progress(f"{int((~images.validation).sum())} images to train on, {int(images.validation.sum())} held out")
        net = fit(images, out, recipe, resume=resume, progress=progress)
        return finish(net, images, out, recipe, progress)


def finish(net: LesionNet, images: LesionImages, out: Path, recipe: Recipe, progress: Callable[[str], None]) -> dict[str, Any]:
    """Calibrate, measure, and write the three files."""
    before = read_card(ROOM / "card.toml")
    path = out / before.weights
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    held = np.flatnonzero(images.validation)
    logits = logits_of(net, images.pixels[held, 0], views=int(before.preprocessing["views"]))
    training = {
        **asdict(recipe),
        "images": int((~images.validation).sum()),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, bfloat16 autocast",
    }
    card = replace(
        before,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        temperature=fit_temperature(logits, images.labels[held]),
        network=NETWORK,
        training=training,
    )
    metrics = figures(card, logits, images, held)
    card = replace(card, metrics=metrics)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    summary = ", ".join(f"{key} {metrics[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n"))
    progress(f"on held-out images: {summary}")
    return metrics


def figures(card: ModelCard, logits: np.ndarray, images: LesionImages, held: np.ndarray) -> dict[str, Any]:
    """``measure`` on the held-out images, how it was measured, and the cross-fitted calibration error."""
    labels = images.labels[held]
    lesions = [images.rows[i].lesion_id for i in held]
    half = np.array([hashlib.sha256(f"half:{lesion}".encode()).digest()[0] % 2 == 0 for lesion in lesions])
    return {
        "measured": HOW,
        "lesions": len(set(lesions)),
        "ece_cross_fitted": round(cross_fitted_ece(logits, labels, half), 4),
        **measure(card, logits, labels, images.coarse[held]),
    }


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights on the images held out from their training (split by the seed in the card)."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    model = Model(card, identity(card, registry.folder_digest(ROOM)), weights, "cpu")
    rows = read_index(data)
    lesions = validation_lesions(rows, int(card.training["seed"]))
    with tempfile.TemporaryDirectory() as cache:
        images = load(data, Path(cache), [row for row in rows if row.lesion_id in lesions], lesions, report=progress)
        progress(f"{len(images.labels)} held-out images through {weights.name}")
        return figures(card, model.logits(images.pixels[:, 0]), images, np.arange(len(images.labels)))
