"""Has what comes in, or what a model says of it, moved away from what it was? Pure: quantities, their bins, the index.

Population stability index: N. Siddiqi, Credit Risk Scorecards, 2006; below 0.1 nothing moved, above 0.25 a lot did.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST_N = 50  # below this the index is noise
WATCH, DRIFTED = 0.1, 0.25
SMOOTHING = 0.5  # of a count of the smaller side in every bin of both, so that an empty one is no infinity


def _even(low: float, high: float, bins: int) -> tuple[float, ...]:
    """Inner edges of ``bins`` equal bins; what lies outside falls into the outermost."""
    return tuple(low + (high - low) * step / bins for step in range(1, bins))


# Inner edges by the quantity's kind, which is its name up to a colon. Changing edges needs another name: counts are stored.
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
class Observation:
    """One value of one unit. ``quantity``: a key of EDGES, or one followed by a colon and a label."""

    quantity: str
    value: float

    @property
    def edges(self) -> tuple[float, ...]:
        return EDGES[self.quantity.partition(":")[0]]

    @property
    def bin(self) -> int:
        """From 0; a value on an edge belongs to the bin above."""
        return bisect_right(self.edges, self.value)

    @property
    def bins(self) -> int:
        return len(self.edges) + 1


def counted(observations: Sequence[Observation]) -> dict[str, list[int]]:
    """Counts by bin for every quantity."""
    found: dict[str, list[int]] = {}
    for one in observations:
        found.setdefault(one.quantity, [0] * one.bins)[one.bin] += 1
    return found


def stability_index(expected: Sequence[float], found: Sequence[float]) -> float | None:
    """Of two counts over the same bins; None where either holds less than ``LEAST_N``.

    Raises
    ------
    ValueError
        Other bins, or none.
    """
    if len(expected) != len(found) or not expected:
        raise ValueError(f"{len(expected)} bins are expected, {len(found)} were found")
    if min(sum(expected), sum(found)) < LEAST_N:
        return None
    least = SMOOTHING / min(sum(expected), sum(found))
    before, after = ([count / sum(counts) + least for count in counts] for counts in (expected, found))
    whole = 1.0 + least * len(found)
    return sum((b - a) / whole * math.log(b / a) for a, b in zip(before, after, strict=True))


def noise(expected: Sequence[float], found: Sequence[float]) -> float:
    """What the index is on average where nothing moved: its law is that of chi squared over the two sizes.

    B. Yurdakul, J. Naranjo, Statistical properties of the population stability index, 2020. Bins that are empty on both sides are none.
    """
    used = sum(1 for one, other in zip(expected, found, strict=True) if one or other)
    return max(0, used - 1) * (1 / sum(expected) + 1 / sum(found))


def level(index: float | None, by_chance: float = 0.0) -> str:
    """The index beyond what chance gives, in a word: too few, stable, watch, drifted."""
    if index is None:
        return "too few"
    limits = {"stable": WATCH, "watch": DRIFTED}
    return next((word for word, limit in limits.items() if index - by_chance < limit), "drifted")
