"""From trained networks to a release: distance from the training images, limits, temperature, metrics; weights, card and tables."""

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from core.policy.drift import DriftObservation, count_by_bin
from core.records import Prediction
from models import drift_observation, registry
from models.card import ModelCard, identity, read_card
from models.card_writer import render_card
from models.classifier.calibration import softmax
from models.dermoscopy.ensemble import Ensemble, Squares, to_tensor
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.postprocess import MELANOMA, OPERATING_POINTS
from training.calibration import fit_temperature
from training.dermoscopy import held_out
from training.dermoscopy.fit.recipe import NETWORK
from training.dermoscopy.ham10000.data import CLASSES, LesionImages
from training.dermoscopy.measure.card_metrics import card_metrics, halved_ece, how_measured, refused_shares
from training.dermoscopy.measure.held_out_table import HeldOutTable, make_table, write_table
from training.dermoscopy.measure.quality_limits import quality_limits
from training.held_out import HeldOutImage, held_out_answers
from training.precision import precision_name

MODEL_FOLDER = registry.MODELS_FOLDER / "dermoscopy"
DRAWN_OF_EACH_KIND = 100
REFUSED_OF_TRAINING = 0.015  # this share of the training images is beyond the limit of distance
# A limit in the card of an ensemble.
ENSEMBLE_LIMIT = (
    "Several networks answer together: the figures are of half of one fold's lesions, a tenth of the data, which none of them"
    " learned, so their intervals are wide; networks of the folds on all data stand under cross-validation."
)
QUALITY_STEP = 4  # every fourth training image is enough for the limits of sharpness and exposure


def finish_fold(
    ensemble: Ensemble,
    images: LesionImages,
    data: Path,
    out: Path,
    fold: int,
    recipes: Mapping[str, Any],
    progress: Callable[[str], None],
    limit_per_class: int | None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml, metrics.json and held_out.npz of one fold's network to ``out``; return the metrics."""
    before = read_card(MODEL_FOLDER / "card.toml")
    limits = {"max_distance": round(fit_distance(ensemble, images, images.training), 3)}
    limits |= quality_limits([images.pixels[i, 0] for i in images.training[::QUALITY_STEP]])
    training = {
        "seed": int(recipes["first"]["seed"]),
        "fold": fold,
        "images": len(images.training),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, convolutions in {precision_name()}",
        **recipes,
    }
    own = tuple(line for line in before.limits if line != ENSEMBLE_LIMIT)
    kept = {name: limit for name, limit in before.thresholds.items() if name != "min_outline"}  # it was measured with other weights
    card = replace(before, limits=own, thresholds={**kept, **limits}, network=NETWORK, training=training)
    return write_release(ensemble, card, images, data, out, progress, limit_per_class)


def write_release(
    ensemble: Ensemble,
    card: ModelCard,
    images: LesionImages,
    data: Path,
    out: Path,
    progress: Callable[[str], None],
    limit_per_class: int | None = None,
    squares: Squares | None = None,
    measure_more: Callable[[DermoscopyClassifier, HeldOutTable], dict[str, Any]] = lambda model, table: {},
) -> dict[str, Any]:
    """Calibrate and measure ``ensemble`` on the validation images, and write the four files to ``out``.

    ``card`` lacks what is measured here: the hash of the weights, temperature, operating points, metrics and reference. ``squares``: what
    the networks see of the validation images (default: the common grid). ``measure_more`` adds metrics to the card.
    """
    held = np.flatnonzero(images.validation)
    path = out / card.weights
    save_file({key: value.contiguous() for key, value in ensemble.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    card = replace(card, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), temperature=1.0)
    model = DermoscopyClassifier(card, identity(card, "0" * 64), path, "cpu")
    output = model.run_networks(images.pixels[held, 0] if squares is None else squares, images.patients[held])
    temperature = fit_temperature(output.logits, images.labels[held])
    points = melanoma_points(softmax(output.logits, temperature), images.labels[held])
    model.card = card = replace(card, temperature=temperature, thresholds={**card.thresholds, **points})
    table = make_table(model, output, images, held, squares)
    write_table(table, out)
    found = card_metrics(card, table, images.rows, how_measured(card.training))
    refused = refused_shares(model, table, limit_per_class or DRAWN_OF_EACH_KIND)
    found |= {"ece_cross_fitted": halved_ece(table, images.rows), "refused": refused}
    found |= measure_more(model, table)
    card = replace(card, metrics=found, reference=reference_counts(model, data, progress, limit_per_class))
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    progress("on held-out images: " + ", ".join(f"{key} {found[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n")))
    return found


def melanoma_points(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """The thresholds of ``OPERATING_POINTS``: the highest that reach their sensitivity; (N, C) and (N,). Empty without a melanoma."""
    melanoma = CLASSES.index(MELANOMA)
    scores = np.sort(probabilities[labels == melanoma, melanoma])
    if not len(scores):
        return {}
    return {
        name: float(np.floor(scores[int((100 - percent) * len(scores) / 100)] * 1e4) / 1e4) for name, percent in OPERATING_POINTS.items()
    }


@torch.inference_mode()
def fit_distance(ensemble: Ensemble, images: LesionImages, chosen: np.ndarray) -> float:
    """Fit the last member's ``familiarity`` to the images ``chosen``, every other one recompressed; return the limit of distance."""
    net, side = ensemble.member(ensemble.last), ensemble.sides[ensemble.last]
    assert net.familiarity is not None
    parts = []
    for start in range(0, len(chosen), 64):
        part = chosen[start : start + 64]
        parts.append(net.familiarity.features(net.maps(to_tensor(images.pixels[part, part % 2], side))))
    features = torch.cat(parts)
    net.familiarity.fit(features)
    return float(np.quantile(net.familiarity.distance(features).numpy(), 1 - REFUSED_OF_TRAINING))


def reference_counts(
    model: DermoscopyClassifier, data: Path, progress: Callable[[str], None], limit_per_class: int | None
) -> dict[str, tuple[float, ...]]:
    """Expected counts of inputs and answers for `models drift`: of the held-out images, through the code path that serves."""
    observations: list[DriftObservation] = []

    def on_answer(image: HeldOutImage, prediction: Prediction) -> None:
        observations.extend(drift_observation.observe(image.photograph, prediction))

    held_out_answers(model, held_out.batches(model, data, limit_per_class), progress=progress, on_answer=on_answer)
    return {quantity: tuple(map(float, counts)) for quantity, counts in count_by_bin(observations).items()}
