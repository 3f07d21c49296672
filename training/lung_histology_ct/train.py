"""Trains and measures ``lung_histology_ct`` on the four-class screenshots."""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models import registry
from models.card import identity, read_card
from models.card_writer import render_card
from models.lung_histology_ct.model import HistologyClassifier
from models.lung_histology_ct.network import FoldEnsemble, SliceNet
from models.lung_histology_ct.probabilities import probabilities
from models.torch_threads import cpu_threads
from training import plots
from training.classifier_metrics import class_recalls, rounded
from training.lung_histology_ct.calibration import calibrate, class_shares
from training.lung_histology_ct.card_metrics import card_metrics, run_by_fold
from training.lung_histology_ct.card_text import card_limits
from training.lung_histology_ct.data import CLASSES, FOLDS, SliceImages, load_slices
from training.lung_histology_ct.fit import NETWORK, SEED, FoldRecipe, train_fold
from training.precision import precision_name

MODEL_FOLDER = registry.MODELS_FOLDER / "lung_histology_ct"
DRAWN_OF_EACH_KIND = 200
REFUSED = 0.03  # this share of the held-out slices is beyond the limit of distance
OWN_SPLIT = "valid"  # a folder of the data set's own split, which shares patients with its other folder


def train(
    data: Path,
    out: Path,
    *,
    seed: int = SEED,
    epochs: int | None = None,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml, metrics.json and training.png to ``out``; return the metrics.

    One network for every fold, each with its checkpoint in a folder of ``out``, and one more for the data set's own split, which is
    measured only. One CPU thread: the same seed gives the same weights on the same machine. A few minutes on a core.
    ``limit_per_class`` trains on that many images of every class only (tests).
    """
    recipe = FoldRecipe(seed) if epochs is None else FoldRecipe(seed, epochs)
    out.mkdir(parents=True, exist_ok=True)
    before = read_card(MODEL_FOLDER / "card.toml")
    with cpu_threads(1):
        slices = load_slices(data, before.thresholds, report=progress, limit_per_class=limit_per_class)
        progress(f"{len(slices.labels)} slices in {len(np.unique(slices.clusters))} clusters, {len(slices.refused)} are refused")
        ensemble, histories = FoldEnsemble(NETWORK), {}
        for fold in range(FOLDS):
            folder = out / f"fold-{fold + 1}"
            net, histories[f"fold {fold + 1}"] = train_fold(slices, fold, folder, recipe, resume=resume, progress=progress)
            fit_distance(net, slices.planes[slices.folds != fold])
            ensemble.nets[fold] = net
        plots.draw_training_curves(histories, out / "training.png")
        own = measure_own_split(slices, out / "own-split", recipe, resume=resume, progress=progress)
        drawn = DRAWN_OF_EACH_KIND if limit_per_class is None else 1
        return write_release(ensemble.eval(), slices, out, asdict(recipe), own, progress, drawn=drawn)


@torch.inference_mode()
def fit_distance(net: SliceNet, planes: np.ndarray) -> None:
    """Fit the network's ``familiarity`` to its training images."""
    features = [net.familiarity.features(net.maps(part)[1]) for part in torch.split(torch.from_numpy(planes), 64)]
    net.familiarity.fit(torch.cat(features))


def measure_own_split(
    slices: SliceImages, out: Path, recipe: FoldRecipe, *, resume: bool, progress: Callable[[str], None]
) -> dict[str, float]:
    """Metrics of the same recipe on the data set's own split, which has slices of the same patients on both sides."""
    held_out = np.array([row.file.startswith(f"{OWN_SPLIT}/") for row in slices.rows])
    if held_out.all() or not held_out.any():
        return {}
    parted = replace(slices, folds=np.where(held_out, 0, 1))
    net, _ = train_fold(parted, 0, out, recipe, resume=resume, progress=progress)
    with torch.inference_mode():
        logits = net(torch.from_numpy(slices.planes[held_out])).double().numpy()
    labels = slices.labels[held_out]
    top = probabilities(logits, calibrate(logits, labels, class_shares(labels))).argmax(axis=1)
    balanced = np.nanmean(class_recalls(top, labels, len(CLASSES)))
    return {"accuracy": rounded((top == labels).mean()), "balanced_accuracy": rounded(balanced), "n": len(labels)}


def write_release(
    ensemble: FoldEnsemble,
    slices: SliceImages,
    out: Path,
    recipe: dict[str, Any],
    own_split: dict[str, float],
    progress: Callable[[str], None],
    *,
    drawn: int,
) -> dict[str, Any]:
    """Calibrate and measure the ensemble, and write the three files to ``out``."""
    before = read_card(MODEL_FOLDER / "card.toml")
    path = out / before.weights
    save_file({key: value.contiguous() for key, value in ensemble.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    prior = class_shares(slices.labels)
    machine = f"{platform.machine()}, one thread, convolutions in {precision_name()}"
    training = {**recipe, "images": len(slices.labels), "torch": torch.__version__, "machine": machine}
    card = replace(
        before,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        network={**NETWORK, "presence_temperature": 1.0, "prior": list(prior)},
        training=training,
    )
    output = run_by_fold(HistologyClassifier(card, identity(card, "0" * 64), path, "cpu"), slices.planes, slices.folds)
    calibration = calibrate(output.logits, slices.labels, prior)
    card = replace(
        card,
        temperature=calibration.kind,
        network={**card.network, "presence_temperature": calibration.presence},
        thresholds={**before.thresholds, "max_distance": round(float(np.quantile(output.distance, 1 - REFUSED)), 3)},
    )
    metrics = card_metrics(HistologyClassifier(card, identity(card, "0" * 64), path, "cpu"), slices, drawn, progress=progress)
    metrics |= {"own_split_with_shared_patients": own_split} if own_split else {}
    card = replace(card, metrics=metrics, limits=card_limits(before.limits, metrics, int(recipe["epochs"])))
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    summary = ", ".join(f"{key} {metrics[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n"))
    progress(f"cross-validated over clusters: {summary}")
    return metrics


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure the shipped weights by the protocol of the training: every slice by the network trained without its cluster."""
    weights = registry.verify_weights(MODEL_FOLDER)
    card = read_card(MODEL_FOLDER / "card.toml")
    model = HistologyClassifier(card, identity(card, registry.folder_digest(MODEL_FOLDER)), weights, "cpu")
    with cpu_threads(1):
        return card_metrics(model, load_slices(data, card.thresholds, report=progress), DRAWN_OF_EACH_KIND, progress=progress)
