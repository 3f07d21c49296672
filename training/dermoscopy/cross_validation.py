"""Cross-validation over five folds: every image counts once, classified by the network that was not trained on its lesion."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import ModelError
from models.card import ModelCard, read_card
from training import plots
from training.bootstrap import bootstrap
from training.calibration import fit_temperature
from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import auc, class_recalls, rounded
from training.dermoscopy.ensemble import ENSEMBLE, make_ensemble
from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_index
from training.dermoscopy.ham10000.split import FOLDS
from training.dermoscopy.measure import held_out_table as tables
from training.dermoscopy.measure.card_metrics import HOW, card_metrics, main_metrics, true_labels
from training.dermoscopy.measure.held_out_table import HeldOutTable
from training.dermoscopy.train import train
from training.pages.model_pages import FOLDS as FOLDS_FILE

SINGLE = "fold 0 alone"


def crossval(data: Path, out: Path, *, only_report: bool = False, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Train the folds that ``out``/fold0..4 lack, one after another, and measure all folds; write crossval.json and plots.

    Every fold's training is resumed where it stopped. The folds together become one model in ``out``/ensemble. ``only_report``: nothing
    is trained or joined.

    Raises
    ------
    ModelError
        No fold is trained, or a folder holds another fold.
    """
    for fold in range(FOLDS):
        folder = out / f"fold{fold}"
        if not only_report and not (folder / tables.FILE).is_file():
            progress(f"fold {fold} of {FOLDS}")
            folder.mkdir(parents=True, exist_ok=True)
            train(data, folder, fold=fold, cache=out, progress=progress)
    rows = read_index(data)
    found = measure_folds(rows, out)
    if not only_report and found["folds"] > 1:
        make_ensemble(data, out, progress=progress)
    if (out / ENSEMBLE / tables.FILE).is_file():
        found |= compare_ensemble(rows, out)
        found["weights_sha256"] |= {ENSEMBLE: read_card(out / ENSEMBLE / "card.toml").weights_sha256}
    (out / FOLDS_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def measure_folds(rows: Sequence[HamImage], out: Path) -> dict[str, Any]:
    """The metrics of all folds in ``out``, together and one by one; draws the plots beside them."""
    parts: dict[int, HeldOutTable] = {}
    cards: dict[int, ModelCard] = {}
    for fold in range(FOLDS):
        folder = out / f"fold{fold}"
        if (folder / tables.FILE).is_file():
            parts[fold], cards[fold] = tables.read_table(folder / tables.FILE), read_card(folder / "card.toml")
            if cards[fold].training["fold"] != fold:
                raise ModelError(f"{folder} holds fold {cards[fold].training['fold']}", hint="each fold needs its folder fold0..4")
    if not parts:
        raise ModelError(f"no fold was trained in {out}", hint="dicom-node models crossval trains them")
    card = next(iter(cards.values()))
    if len(parts) > 1:
        parts = {fold: tables.with_temperature(table, temperature_without(parts, fold, rows)) for fold, table in parts.items()}
    pooled = tables.pool(list(parts.values()))
    how = f"{HOW}; {len(parts)} of {FOLDS} folds are trained"
    how += "; each fold's temperature was fitted on the others" if len(parts) > 1 else "; the temperature was fitted on the same images"
    names = tuple(label.name for label in card.labels)
    malignant = np.array([label.malignant for label in card.labels])
    lesions = np.array([row.lesion_id for row in pooled.rows_of(rows)])
    answers = ClassifierAnswers(names, malignant, pooled.probabilities(), true_labels(pooled, rows), lesions, 0)
    plots.draw_classifier_plots(answers, out)
    return {
        "folds": len(parts),
        "folds_of": FOLDS,
        "weights_sha256": {f"fold {fold}": one.weights_sha256 for fold, one in cards.items()},
        "refused": rounded(pooled.refused.mean()),
        **card_metrics(card, pooled, rows, how),
        "by_fold": {f"fold {fold}": fold_metrics(names, table, rows) for fold, table in parts.items()},
    }


def compare_ensemble(rows: Sequence[HamImage], out: Path) -> dict[str, Any]:
    """The ensemble beside fold 0's network alone, on the lesions that are set aside from all folds."""
    both = {ENSEMBLE: tables.read_table(out / ENSEMBLE / tables.FILE)}
    single = tables.read_table(out / "fold0" / tables.FILE)
    both[SINGLE] = tables.select(single, np.isin(single.images, both[ENSEMBLE].images))
    found: dict[str, Any] = {name: fold_metrics(CLASSES, table, rows) for name, table in both.items()}
    return {"set_aside": {**found, "difference": paired_difference(both[ENSEMBLE], both[SINGLE], rows)}}


def paired_difference(one: HeldOutTable, other: HeldOutTable, rows: Sequence[HamImage]) -> dict[str, dict[str, float]]:
    """By how much ``one`` is better than ``other`` on the same images, with the 95 % interval of whole lesions redrawn."""
    order = {name: place for place, name in enumerate(other.images.tolist())}
    places = [order[name] for name in one.images.tolist()]
    labels = true_labels(one, rows)
    probabilities = (one.probabilities(), other.probabilities()[places])

    def measure(chosen: np.ndarray) -> dict[str, float]:
        first, second = (balanced_accuracy_and_auc(p[chosen], labels[chosen]) for p in probabilities)
        return {key: first[key] - second[key] for key in first}

    lesions = np.array([row.lesion_id for row in one.rows_of(rows)])
    found = bootstrap(measure, lesions)
    return {key: {"better_by": value, "low": low, "high": high} for key, (value, low, high) in found.items()}


def balanced_accuracy_and_auc(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Both as means over the classes that occur, from metrics rounded as in the tables."""
    recalls = class_recalls(p.argmax(1), labels, len(CLASSES))
    areas = [auc(p[:, c], labels == c) if not np.isnan(recalls[c]) else float("nan") for c in range(len(CLASSES))]
    columns = {"balanced_accuracy": recalls.tolist(), "macro_auc": areas}
    return {name: rounded(np.nanmean([rounded(value) for value in values])) for name, values in columns.items()}


def temperature_without(parts: Mapping[int, HeldOutTable], fold: int, rows: Sequence[HamImage]) -> float:
    """The temperature fitted on the held-out images of every fold but ``fold``."""
    others = tables.pool([table for other, table in parts.items() if other != fold])
    return fit_temperature(others.logits, true_labels(others, rows))


def fold_metrics(names: Sequence[str], table: HeldOutTable, rows: Sequence[HamImage]) -> dict[str, float]:
    """The main metrics of one fold."""
    labels = true_labels(table, rows)
    return {**main_metrics(names, table.probabilities(), labels), "n": len(labels)}
