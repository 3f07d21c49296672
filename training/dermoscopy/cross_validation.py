"""Five trainings, each without another fifth of the lesions: every image counts once, judged by a network that never saw it."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelError
from models.calibration import expected_calibration_error, fit_temperature
from models.card import ModelCard, read_card
from training import plots
from training.bootstrap import Answers, redrawn
from training.dermoscopy import held_out_rows as tables
from training.dermoscopy.assemble import TOGETHER, assemble
from training.dermoscopy.data import CLASSES, Row, read_index
from training.dermoscopy.figures import HOW, figures
from training.dermoscopy.held_out_rows import Held
from training.dermoscopy.metrics import mean_of, per_class, rounded
from training.dermoscopy.split import FOLDS
from training.dermoscopy.train import train
from training.model_pages import FOLDS as FOLDS_FILE

ALONE = "fold 0 alone"


def crossval(data: Path, out: Path, *, only_report: bool = False, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Train the folds that ``out``/fold0..4 do not hold yet, one after another, and measure all that are there; crossval.json and pictures.

    Every fold's training is resumed where it stopped. Of the folds together one model is made, in ``out``/ensemble. ``only_report``:
    neither train nor make anything.

    Raises
    ------
    ModelError
        Nothing to measure, or a folder that holds another fold.
    """
    for fold in range(FOLDS):
        folder = out / f"fold{fold}"
        if not only_report and not (folder / tables.FILE).is_file():
            progress(f"fold {fold} of {FOLDS}")
            folder.mkdir(parents=True, exist_ok=True)
            train(data, folder, fold=fold, cache=out, progress=progress)
    rows = read_index(data)
    found = report(rows, out)
    if not only_report and found["folds"] > 1:
        assemble(data, out, progress=progress)
    if (out / TOGETHER / tables.FILE).is_file():
        found |= compared(rows, out)
        found["weights_sha256"] |= {TOGETHER: read_card(out / TOGETHER / "card.toml").weights_sha256}
    (out / FOLDS_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def report(rows: Sequence[Row], out: Path) -> dict[str, Any]:
    """The figures of all folds that ``out`` holds, together and one by one; draws the pictures beside them."""
    parts: dict[int, Held] = {}
    cards: dict[int, ModelCard] = {}
    for fold in range(FOLDS):
        folder = out / f"fold{fold}"
        if (folder / tables.FILE).is_file():
            parts[fold], cards[fold] = tables.read(folder / tables.FILE), read_card(folder / "card.toml")
            if cards[fold].training["fold"] != fold:
                raise ModelError(f"{folder} holds fold {cards[fold].training['fold']}", hint="give every fold its folder fold0..4")
    if not parts:
        raise ModelError(f"no fold was trained in {out}", hint="dicom-node models crossval trains them")
    card = next(iter(cards.values()))
    if len(parts) > 1:
        parts = {fold: tables.scaled(held, temperature_without(parts, fold, rows)) for fold, held in parts.items()}
    together = tables.pooled(list(parts.values()))
    how = f"{HOW}; {len(parts)} of {FOLDS} folds are trained"
    how += "; each fold's temperature was fitted on the others" if len(parts) > 1 else "; the temperature was fitted on the same images"
    known = together.of(rows)
    names = tuple(label.name for label in card.labels)
    malignant = np.array([label.malignant for label in card.labels])
    labels, lesions = truth(together, rows), np.array([row.lesion_id for row in known])
    plots.classifier(Answers(names, malignant, together.probabilities(), labels, lesions, 0), out)
    return {
        "folds": len(parts),
        "folds_of": FOLDS,
        "weights_sha256": {f"fold {fold}": one.weights_sha256 for fold, one in cards.items()},
        "refused": rounded(together.refused.mean()),
        **figures(card, together, rows, how),
        "by_fold": {f"fold {fold}": short(names, held, rows) for fold, held in parts.items()},
    }


def compared(rows: Sequence[Row], out: Path) -> dict[str, Any]:
    """The ensemble beside fold 0's network alone, on the lesions that are set aside from all."""
    both = {TOGETHER: tables.read(out / TOGETHER / tables.FILE)}
    alone = tables.read(out / "fold0" / tables.FILE)
    both[ALONE] = tables.chosen(alone, np.isin(alone.images, both[TOGETHER].images))
    found: dict[str, Any] = {name: short(CLASSES, held, rows) for name, held in both.items()}
    return {"set_aside": {**found, "difference": difference(both[TOGETHER], both[ALONE], rows)}}


def difference(one: Held, other: Held, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """By how much ``one`` is better than ``other`` on the same images, with the 95 % interval of whole lesions redrawn."""
    order = {name: place for place, name in enumerate(other.images.tolist())}
    places = [order[name] for name in one.images.tolist()]
    labels = truth(one, rows)
    said = (one.probabilities(), other.probabilities()[places])

    def better(chosen: np.ndarray) -> dict[str, float]:
        both = [per_class(p[chosen].argmax(1), labels[chosen], p[chosen], CLASSES) for p in said]
        return {key: mean_of(both[0], of) - mean_of(both[1], of) for key, of in (("balanced_accuracy", "recall"), ("macro_auc", "auc"))}

    lesions = np.array([row.lesion_id for row in one.of(rows)])
    found = redrawn(better, lesions)
    return {key: {"better_by": value, "low": low, "high": high} for key, (value, low, high) in found.items()}


def temperature_without(parts: Mapping[int, Held], fold: int, rows: Sequence[Row]) -> float:
    """Fitted on the held-out images of every fold but ``fold``."""
    others = tables.pooled([held for other, held in parts.items() if other != fold])
    return fit_temperature(others.logits, truth(others, rows))


def truth(held: Held, rows: Sequence[Row]) -> np.ndarray:
    """(N,) index of the true class."""
    return np.array([CLASSES.index(row.dx) for row in held.of(rows)])


def short(names: Sequence[str], held: Held, rows: Sequence[Row]) -> dict[str, float]:
    """The main figures of one fold."""
    p, labels = held.probabilities(), truth(held, rows)
    classes = per_class(p.argmax(1), labels, p, names)
    return {
        "balanced_accuracy": mean_of(classes, "recall"),
        "macro_auc": mean_of(classes, "auc"),
        "ece": rounded(expected_calibration_error(p, labels)),
        "n": len(labels),
    }
