"""Inserts synthetic nodules into copies of a real series and measures which of them are found, and what else is marked.

All figures are of synthetic nodules; none says how real nodules of patients are found.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.ct.lung_field import lung_field
from models.lung_nodule_ct.candidates import NoduleCandidate
from models.lung_nodule_ct.description.density import density_kind, solid_share
from models.lung_nodule_ct.heat import NoduleHeat
from models.lung_nodule_ct.two_stages import TwoStageDetector, combine_scores
from training.lung_nodule_ct.series.training_series import TrainingSeries, draw_nodule
from training.lung_nodule_ct.synthesis.synthetic_nodules import SyntheticNodule, insert_nodule

COPIES = 3
PER_COPY = 20
SIZES = ((4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 30.0))
LEAST_REACH_MM = 5.0


@dataclass(frozen=True, slots=True)
class SeriesCopy:
    """One copy of a series: the inserted nodules, the best score on each (0: missed) and its density by rule, scores of false positives."""

    nodules: tuple[SyntheticNodule, ...]
    found: tuple[float, ...]
    densities: tuple[str, ...]
    false: tuple[float, ...]


def evaluate_series(
    detector: TwoStageDetector,
    series: TrainingSeries,
    thresholds: Mapping[str, float],
    *,
    seed: int,
    copies: int = COPIES,
    per_copy: int = PER_COPY,
    progress: Callable[[str], None] = print,
) -> tuple[list[SeriesCopy], list[SeriesCopy]]:
    """Results for copies of one series, each with nodules of its own, at any score: of both stages, and of the first alone."""
    both, alone = [], []
    for index in range(copies):
        hu, nodules = insert_nodules(series, np.random.default_rng([seed, 17, index]), per_copy)
        lungs = lung_field(hu, series.spacing_mm)
        heat = None if lungs is None else detector.heat(lungs, hu, series.spacing_mm)
        regions = [] if heat is None else detector.scored_regions(heat, thresholds)

        def density(candidate: NoduleCandidate, heat: NoduleHeat | None = heat) -> str:
            return "" if heat is None else density_kind(solid_share(candidate, heat, thresholds["solid_hu"]), thresholds)

        both.append(match_candidates(series, nodules, combine_scores(regions, thresholds, 0.0), density))
        alone.append(match_candidates(series, nodules, combine_scores(regions, {"second_weight": 0.0}, 0.0), density))
        progress(f"{series.name}: copy {index + 1} of {copies}, {len(nodules)} nodules, {len(regions)} regions")
    return both, alone


def insert_nodules(series: TrainingSeries, rng: np.random.Generator, count: int) -> tuple[npt.NDArray[np.int16], list[SyntheticNodule]]:
    """A copy of the series with about ``count`` nodules, at least 15 mm of lung between any two."""
    hu = series.hu.copy()
    nodules: list[SyntheticNodule] = []
    for _ in range(count * 8):
        if len(nodules) == count:
            break
        low, high = SIZES[len(nodules) % len(SIZES)]
        nodule = draw_nodule(series, rng, low, high)
        if nodule is None or any(
            _distance_mm(series, nodule.centre, n.centre) < (nodule.diameter_mm + n.diameter_mm) / 2 + 15 for n in nodules
        ):
            continue
        insert_nodule(hu, np.zeros(hu.shape, np.float32), series.spacing_mm, rng, series.noise, nodule)
        nodules.append(nodule)
    return hu, nodules


def match_candidates(
    series: TrainingSeries,
    nodules: Sequence[SyntheticNodule],
    candidates: Sequence[NoduleCandidate],
    density: Callable[[NoduleCandidate], str],
) -> SeriesCopy:
    """Assign candidates to nodules.

    A candidate within the radius of a nodule (at least 5 mm) finds it; every other candidate is a false positive, unless it lies on a
    suspicious region.
    """
    found, densities = [0.0] * len(nodules), [""] * len(nodules)
    false = []
    for candidate in candidates:
        near = [
            i for i, n in enumerate(nodules) if _distance_mm(series, n.centre, candidate.centre) <= max(n.diameter_mm / 2, LEAST_REACH_MM)
        ]
        for i in near:
            if candidate.score > found[i]:
                found[i], densities[i] = candidate.score, density(candidate)
        if not near and series.distance_to_suspicious(candidate.centre) > 3.0:
            false.append(candidate.score)
    return SeriesCopy(tuple(nodules), tuple(found), tuple(densities), tuple(false))


def _distance_mm(series: TrainingSeries, one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(one, other) * series.spacing_mm))
