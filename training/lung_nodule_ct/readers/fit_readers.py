"""Fits density, margin and suspicion of a nodule to the readers' ratings: a ridge regression of each mean rating on the appearance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeCV

from models.lung_nodule_ct.description.appearance import FEATURES, appearance
from models.lung_nodule_ct.description.density import KINDS, density_kind, solid_share
from models.lung_nodule_ct.description.outline import outline_by_density
from training.lung_nodule_ct.readers import agreement
from training.lung_nodule_ct.readers.ratings import ReaderMark
from training.lung_nodule_ct.readers.stored_regions import PastedRegion
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule, fold_of

RATINGS = ("texture", "margin", "malignancy")
PENALTIES = tuple(np.logspace(0, 4, 9))
SHARP = 3.5  # mean rating of the margin, 1 (poorly defined) to 5 (sharp), from which readers call it sharp
LEVELS = 40  # limits that are tried

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class RatedNodules:
    """``values`` (n, features), ``rule`` the density by the card's share (index of KINDS), ``patients`` and the readers' ``marks``."""

    values: Floats
    rule: Ints
    patients: tuple[str, ...]
    marks: tuple[tuple[ReaderMark, ...], ...]

    def mean(self, rating: str) -> Floats:
        """Mean rating of the readers of each nodule."""
        return np.array([np.mean([getattr(mark, rating) for mark in own]) for own in self.marks])

    @property
    def density(self) -> Ints:
        """Index of KINDS by the median texture."""
        return kinds_of(np.array([np.median([mark.texture for mark in own]) for own in self.marks]))


def kinds_of(texture: Floats) -> Ints:
    """Index of KINDS (solid, part-solid, ground-glass) by a texture of 1 to 5."""
    return np.where(texture >= 4.0, 0, np.where(texture >= 2.5, 1, 2))


def rated_nodules(
    regions: Sequence[PastedRegion], nodules: Sequence[RealNodule], ratings: Mapping[int, tuple[ReaderMark, ...]],
    thresholds: Mapping[str, float],
) -> RatedNodules:  # fmt: skip
    """The found nodules that have ratings, with the appearance of their outline as served."""
    values, rule, patients, marks = [], [], [], []
    for region in regions:
        nodule = nodules[region.nodule]
        if nodule.row not in ratings or region.score < thresholds["score"]:
            continue
        candidate, heat = region.as_served()
        values.append(appearance(outline_by_density(candidate, heat), heat))
        rule.append(KINDS.index(density_kind(solid_share(candidate, heat, thresholds["solid_hu"]), thresholds)))
        patients.append(nodule.patient)
        marks.append(ratings[nodule.row])
    return RatedNodules(np.array(values), np.array(rule), tuple(patients), tuple(marks))


def fit_table(rated: RatedNodules, chosen: npt.NDArray[np.generic]) -> dict[str, Any]:
    """``[network.readers]`` of a card, fitted to the nodules with index ``chosen``."""
    own = rated.values[chosen]
    mean, scale = own.mean(axis=0), own.std(axis=0) + 1e-6
    scaled = (own - mean) / scale
    table: dict[str, Any] = {"features": list(FEATURES), "mean": rounded(mean), "scale": rounded(scale)}
    for rating in RATINGS:
        fitted = RidgeCV(alphas=PENALTIES).fit(scaled, rated.mean(rating)[chosen])
        table[rating] = {"intercept": round(float(fitted.intercept_), 4), "coefficients": rounded(fitted.coef_)}
    estimate = estimates(table, "texture", own)
    solid, part = density_limits(estimate, rated.density[chosen])
    table["texture"] |= {"solid_from": round(solid, 3), "part_solid_from": round(part, 3)}
    table["margin"]["sharp_from"] = round(sharp_limit(estimates(table, "margin", own), rated.mean("margin")[chosen]), 3)
    return table


def estimates(table: Mapping[str, Any], rating: str, values: Floats) -> Floats:
    """The estimated mean rating 1..5 of each row."""
    scaled = (values - np.array(table["mean"])) / np.array(table["scale"])
    values = table[rating]["intercept"] + scaled @ np.array(table[rating]["coefficients"])
    return np.array(np.clip(values, 1.0, 5.0), dtype=np.float64)


def density_limits(estimate: Floats, truth: Ints) -> tuple[float, float]:
    """Limits (solid from, part-solid from) with the highest kappa."""
    levels = np.unique(np.quantile(estimate, np.linspace(0.0, 0.6, LEVELS)))
    pairs = [(float(solid), float(part)) for solid in levels for part in levels if part <= solid]
    return max(pairs, key=lambda pair: agreement.kappa(by_limits(estimate, *pair), truth))


def sharp_limit(estimate: Floats, mean_rating: Floats) -> float:
    """The limit of the estimate with the highest balanced accuracy for readers' means of at least `SHARP`."""
    levels = [float(level) for level in np.unique(np.quantile(estimate, np.linspace(0.02, 0.9, LEVELS)))]
    truth = (mean_rating >= SHARP).astype(np.intp)
    return max(levels, key=lambda level: agreement.balanced((estimate >= level).astype(np.intp), truth))


def by_limits(estimate: Floats, solid: float, part: float) -> Ints:
    """Index of KINDS by two limits of the texture."""
    return np.where(estimate >= solid, 0, np.where(estimate >= part, 1, 2))


@dataclass(frozen=True, slots=True)
class CrossedEstimates:
    """Of each nodule, by the table of the other half of the patients: mean ratings, density (index of KINDS), and 1 where sharp."""

    ratings: Mapping[str, Floats]
    density: Ints
    sharp: Ints


def crossed(rated: RatedNodules) -> CrossedEstimates:
    """What is estimated of each nodule by the table that was fitted to the other half of the patients."""
    fold = np.array([fold_of(patient) for patient in rated.patients])
    found = {rating: np.zeros(len(fold)) for rating in RATINGS}
    density, sharp = np.zeros(len(fold), dtype=np.intp), np.zeros(len(fold), dtype=np.intp)
    for half in range(FOLDS):
        table, own = fit_table(rated, np.flatnonzero(fold != half)), fold == half
        for rating in RATINGS:
            found[rating][own] = estimates(table, rating, rated.values[own])
        density[own] = by_limits(found["texture"][own], table["texture"]["solid_from"], table["texture"]["part_solid_from"])
        sharp[own] = found["margin"][own] >= table["margin"]["sharp_from"]
    return CrossedEstimates(found, density, sharp)


def rounded(values: Floats) -> list[float]:
    """Four decimals."""
    return [round(float(value), 4) for value in values]
