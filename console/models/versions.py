"""The versions of a model: those on this machine, and those that the registry knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.engine import Database
from db.operations.model_registry import registered_models
from models import installed, registry
from models.card import ModelCard

FIGURES = {
    "n": "measured on (n)",
    "macro_auc": "macro AUC",
    "macro_f1": "macro F1",
    "malignancy_auc": "malignancy AUC",
    "ece": "expected calibration error",
    "ece_cross_fitted": "the same, cross-fitted",
    "at_1_false_per_scan": "sensitivity at 1 false mark per scan",
    "at_4_false_per_scan": "sensitivity at 4 false marks per scan",
    "mean_sensitivity_of_the_froc": "mean sensitivity (FROC)",
}
"""Figures of a card whose names are abbreviations; others are shown with spaces."""


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version with its state in the registry ("" where it was never used).

    ``card``: None where it cannot be read or is not installed any more; ``problem``: what is wrong with its files, "" where nothing is.
    """

    version: str
    digest: str
    state: str
    origin: str
    card: ModelCard | None
    problem: str = ""

    @property
    def figures(self) -> list[tuple[str, str]]:
        """The single numbers of the card's metrics; where it has only tables, those of the first one."""
        if self.card is None:
            return []
        metrics = self.card.metrics
        tables = [_numbers(one) for one in metrics.values() if isinstance(one, Mapping)]
        numbers = _numbers(metrics) or next(filter(None, tables), [])
        return [
            (FIGURES.get(key, key.replace("_", " ")), str(value) if isinstance(value, int) else f"{value:.3g}") for key, value in numbers
        ][:8]


def _numbers(metrics: Mapping[str, Any]) -> list[tuple[str, int | float]]:
    return [(key, value) for key, value in metrics.items() if isinstance(value, int | float) and not isinstance(value, bool)]


def model_names(database: Database, folder: Path) -> list[str]:
    """Return the names of all models that are installed or registered, sorted."""
    return sorted({*installed.names(folder), *(model.name for model in registered_models(database))})


def version_rows(database: Database, name: str, folder: Path) -> list[VersionRow]:
    """Return the versions of a model: the active one first, then shadows, then the rest."""
    known = {model.digest: model for model in registered_models(database, name)}
    rows = []
    for place in installed.readable_versions(name, folder):
        entry = known.pop(place.digest, None)
        state = entry.state.value if entry is not None else ""
        problem = registry.weights_problem(place.folder, keep=True)  # reading gigabytes for each page would take seconds
        rows.append(VersionRow(place.card.version, place.digest, state, place.origin.value, place.card, problem))
    for damaged in installed.damaged_versions(name, folder):
        entry = damaged.entry(known.values())
        version, digest, state = (entry.version, entry.digest, entry.state.value) if entry is not None else (damaged.version, "", "")
        known.pop(digest, None)
        rows.append(VersionRow(version, digest, state, damaged.origin.value, None, damaged.reason))
    rows += [VersionRow(model.version, model.digest, model.state.value, model.origin.value, None) for model in known.values()]
    order = {"active": 0, "shadow": 1, "standby": 2, "": 3, "retired": 4}
    return sorted(rows, key=lambda row: order[row.state])
