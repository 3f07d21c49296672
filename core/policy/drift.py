"""Measures whether inputs, or the answers of a model, have moved away from an earlier distribution.

Population stability index: N. Siddiqi, Credit Risk Scorecards, 2006. Below 0.1 the distribution is stable, above 0.25 it has drifted.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_COUNT = 50  # with fewer observations the index is noise
WATCH, DRIFTED = 0.1, 0.25
SMOOTHING = 0.5  # counts added to every bin of both sides, relative to the smaller side, so that an empty bin does not give infinity


def _even(low: float, high: float, bins: int) -> tuple[float, ...]:
    """Return the inner edges of ``bins`` equal bins; values outside fall into the outermost."""
    return tuple(low + (high - low) * step / bins for step in range(1, bins))


# Inner edges by quantity, which is its name up to a colon. Counts are stored, so other edges need another name.
EDGES: Mapping[str, tuple[float, ...]] = {
    "probability": _even(0.0, 1.0, 10),
    "score": _even(0.0, 1.0, 10),
    "findings": (0.5, 1.5, 2.5, 3.5, 5.5, 10.5, 20.5),
    "brightness": _even(0.0, 255.0, 10),  # mean of the channels, 8 bits
    "contrast": _even(0.0, 100.0, 10),  # standard deviation of the brightness
    "redness": _even(-20.0, 100.0, 10),  # mean of red minus mean of green and blue
    "mean_hu": _even(-1000.0, 200.0, 10),
    "spread_hu": _even(0.0, 800.0, 10),  # standard deviation
    "slice_distance_mm": (0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 4.25, 5.25),
    "slices": (50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0),
    "outcome": (0.5,),  # 0 answered, 1 abstained or not analysed
}


@dataclass(frozen=True, slots=True)
class DriftObservation:
    """One value of one unit. ``quantity``: a key of EDGES, or one followed by a colon and a label."""

    quantity: str
    value: float

    @property
    def edges(self) -> tuple[float, ...]:
        """Inner edges of the bins of this quantity."""
        return EDGES[self.quantity.partition(":")[0]]

    @property
    def bin(self) -> int:
        """Index of the bin, from 0. A value on an edge belongs to the bin above."""
        return bisect_right(self.edges, self.value)

    @property
    def bins(self) -> int:
        """Number of bins."""
        return len(self.edges) + 1


def count_by_bin(observations: Sequence[DriftObservation]) -> dict[str, list[int]]:
    """Return the counts by bin for every quantity."""
    counts: dict[str, list[int]] = {}
    for observation in observations:
        counts.setdefault(observation.quantity, [0] * observation.bins)[observation.bin] += 1
    return counts


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float | None:
    """Return the population stability index of two counts over the same bins; None where either is below ``MIN_COUNT``.

    Raises
    ------
    ValueError
        The numbers of bins differ, or there is none.
    """
    if len(expected) != len(found) or not expected:
        raise ValueError(f"{len(expected)} bins are expected, {len(found)} were found")
    if min(sum(expected), sum(found)) < MIN_COUNT:
        return None
    least = SMOOTHING / min(sum(expected), sum(found))
    before, after = ([count / sum(counts) + least for count in counts] for counts in (expected, found))
    whole = 1.0 + least * len(found)
    return sum((b - a) / whole * math.log(b / a) for a, b in zip(before, after, strict=True))


def index_by_chance(expected: Sequence[float], found: Sequence[float]) -> float:
    """Return the mean of the index where both counts come from one distribution: it follows chi squared over the two sizes.

    B. Yurdakul, J. Naranjo, Statistical properties of the population stability index, 2020. Bins that are empty on both sides do not count.
    """
    used = sum(1 for before, after in zip(expected, found, strict=True) if before or after)
    return max(0, used - 1) * (1 / sum(expected) + 1 / sum(found))


def drift_level(index: float | None, by_chance: float = 0.0) -> str:
    """Return ``too few``, ``stable``, ``watch`` or ``drifted`` for the part of the index that exceeds ``by_chance``."""
    if index is None:
        return "too few"
    limits = {"stable": WATCH, "watch": DRIFTED}
    return next((level for level, limit in limits.items() if index - by_chance < limit), "drifted")
