"""From trained networks to what is shipped: what is familiar, limits, temperature, figures; weights, card and tables."""

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
from models import drift_observation
from models.calibration import fit_temperature
from models.card import ModelCard, identity, read_card
from models.card_writer import render_card
from models.dermoscopy.ensemble import Panel, to_tensor
from models.dermoscopy.model import Model
from models.dermoscopy.quality import limits_of
from training.dermoscopy import fit, held_out
from training.dermoscopy.data import LesionImages
from training.dermoscopy.figures import figures, halved_ece, measured, refusals
from training.dermoscopy.held_out_rows import hold, write
from training.held_out import HeldOutImage, held_out_answers

ROOM = Path(__file__).parents[2] / "models" / "dermoscopy"
STRANGERS_OF_EACH = 100
REFUSED_OF_TRAINING = 0.015  # this share of the training images lies beyond the limit of distance
OF_SEVERAL = (
    "Networks of several folds answer together: the figures are of half of one fold's lesions, a tenth of the data, which none of them"
    " learned, so their intervals are wide; single networks on all data stand under cross-validation."
)  # a limit in the card of `ensemble.assemble` alone
QUALITY_STEP = 4  # of the training images one in so many is enough for the limits of sharpness and exposure


def finish(
    panel: Panel,
    images: LesionImages,
    data: Path,
    out: Path,
    fold: int,
    recipes: Mapping[str, Any],
    progress: Callable[[str], None],
    limit_per_class: int | None,
) -> dict[str, Any]:
    """One fold's network: write weights.safetensors, card.toml, metrics.json and held_out.npz to ``out``; return the metrics."""
    before = read_card(ROOM / "card.toml")
    limits = {"max_distance": round(learn_familiar(panel, images, images.learned), 3)}
    limits |= limits_of([images.pixels[i, 0] for i in images.learned[::QUALITY_STEP]])
    training = {
        "seed": int(recipes["first"]["seed"]),
        "fold": fold,
        "images": len(images.learned),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, bfloat16 autocast",
        **recipes,
    }
    own = tuple(line for line in before.limits if line != OF_SEVERAL)
    card = replace(before, limits=own, thresholds={**before.thresholds, **limits}, network=fit.NETWORK, training=training)
    return ship(panel, card, images, data, out, progress, limit_per_class)


def ship(
    panel: Panel,
    card: ModelCard,
    images: LesionImages,
    data: Path,
    out: Path,
    progress: Callable[[str], None],
    limit_per_class: int | None = None,
) -> dict[str, Any]:
    """Calibrate and measure ``panel`` on the images for validation; the four files to ``out``. ``card`` lacks what is measured here."""
    held = np.flatnonzero(images.validation)
    path = out / card.weights
    save_file({key: value.contiguous() for key, value in panel.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    card = replace(card, weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(), temperature=1.0)
    model = Model(card, identity(card, "0" * 64), path, "cpu")
    looked = model.look(images.pixels[held, 0], images.patients[held])
    model.card = card = replace(card, temperature=fit_temperature(looked.logits, images.labels[held]))
    table = hold(model, looked, images, held)
    write(table, out)
    found = figures(card, table, images.rows, measured(card.training))
    found |= {"ece_cross_fitted": halved_ece(table, images.rows), "refused": refusals(model, table, limit_per_class or STRANGERS_OF_EACH)}
    card = replace(card, metrics=found, reference=reference(model, data, progress, limit_per_class))
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    progress("on held-out images: " + ", ".join(f"{key} {found[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n")))
    return found


@torch.inference_mode()
def learn_familiar(panel: Panel, images: LesionImages, chosen: np.ndarray) -> float:
    """Fit the last member's ``familiarity`` to the images ``chosen``, every other one recompressed; return the limit of distance."""
    net, side = panel.net(panel.last), panel.sides[panel.last]
    assert net.familiarity is not None
    described = []
    for start in range(0, len(chosen), 64):
        part = chosen[start : start + 64]
        described.append(net.familiarity.describe(net.maps(to_tensor(images.pixels[part, part % 2], side))))
    features = torch.cat(described)
    net.familiarity.fit(features)
    distances = net.familiarity.far(features)
    return float(np.quantile(distances.numpy(), 1 - REFUSED_OF_TRAINING))


def reference(model: Model, data: Path, progress: Callable[[str], None], limit_per_class: int | None) -> dict[str, tuple[float, ...]]:
    """What is expected of inputs and answers, as ``models drift`` counts them: of the held-out images, asked as they are served."""
    seen: list[DriftObservation] = []

    def on_answer(image: HeldOutImage, prediction: Prediction) -> None:
        seen.extend(drift_observation.observe(image.photograph, prediction))

    held_out_answers(model, held_out.batches(model, data, limit_per_class), progress=progress, on_answer=on_answer)
    return {quantity: tuple(map(float, counts)) for quantity, counts in count_by_bin(seen).items()}
