"""Compares the stored marks of two versions of a detector in the same held-out scans. numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.regression.change import MetricChange
from models.regression.stored_marks import PresentNodule, SortedMarks, StoredScan, limit_at, sort_marks

RESAMPLES = 500
TOLERANCE = 0.02  # two of a hundred nodules
LEAST_NODULES = 50  # in common; with fewer the intervals say nothing
LEAST_OF_GROUP = 15  # nodules of a subgroup that is shown
LEAST_DIAMETER_MM = 4.0  # smaller nodules are not looked for
# False marks per scan. Their mean sensitivity is the score of LUNA16 (Setio et al., 2017), but for two things: a mark finds a nodule from
# at least 5 mm, and the sensitivity at a rate is that of the last point up to it, where LUNA16 interpolates between two points.
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
BANDS = ((4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 100.0))
METRICS = ("mean_sensitivity_of_the_froc", "sensitivity_at_4_false_marks")

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


def compare_marks(old: Sequence[StoredScan], new: Sequence[StoredScan]) -> tuple[MetricChange, ...]:
    """The changes of sensitivity over all and by subgroup; empty where too few nodules are in common.

    Volumes with all their scans are redrawn for the intervals, and the nodules within each scan: few volumes give wide intervals.
    """
    after = {scan.scan: scan for scan in new}
    before = [scan for scan in old if scan.scan in after]
    groups = _groups([nodule for scan in before for nodule in scan.nodules])
    if groups[""].sum() < LEAST_NODULES:
        return ()
    sides = [[sort_marks([scan]) for scan in scans] for scans in (before, [after[scan.scan] for scan in before])]
    draws = _draw(sides, _scans_of_volumes(before))
    changes = []
    for subgroup, chosen in groups.items():
        if chosen.sum() < LEAST_OF_GROUP:
            continue
        values = np.array([[draw.sensitivities(side, chosen) for side in (0, 1)] for draw in draws])
        low, high = np.nanpercentile(values[1:, 1] - values[1:, 0], (2.5, 97.5), axis=0)
        for i, metric in enumerate(METRICS):
            before_after = float(values[0, 0, i]), float(values[0, 1, i])
            changes.append(MetricChange(metric, subgroup, int(chosen.sum()), *before_after, float(low[i]), float(high[i]), TOLERANCE))
    return tuple(changes)


def _groups(nodules: Sequence[PresentNodule]) -> dict[str, Bools]:
    """Which nodules belong to each subgroup; "": all that are looked for."""
    size = np.array([nodule.diameter_mm for nodule in nodules])
    large = size >= LEAST_DIAMETER_MM
    groups: dict[str, Bools] = {"": large}
    groups |= {f"{low:g} to {high:g} mm": (size >= low) & (size < high) for low, high in BANDS}
    for name in ("kind", "place"):
        values = np.array([getattr(nodule, name) for nodule in nodules])
        groups |= {f"{name} {value}": large & (values == value) for value in sorted(set(values.tolist()) - {""})}
    return groups


@dataclass(frozen=True, slots=True)
class _Draw:
    """The nodules of one draw (rows of all), and of both versions what each nodule has and the limits of `RATES` in the drawn scans."""

    rows: Rows
    found: tuple[Floats, Floats]
    limits: tuple[Floats, Floats]

    def sensitivities(self, side: int, chosen: Bools) -> tuple[float, float]:
        """The values of `METRICS` of one version for the chosen nodules; nan without nodules."""
        found = self.found[side][chosen[self.rows]]
        shares = sensitivities_at(found, self.limits[side])
        return float(shares.mean()), float(shares[RATES.index(4.0)])


def _scans_of_volumes(scans: Sequence[StoredScan]) -> list[Rows]:
    """The places in ``scans`` of each volume's scans."""
    places: dict[str, list[int]] = {}
    for place, scan in enumerate(scans):
        places.setdefault(scan.volume or scan.scan, []).append(place)
    return [np.array(own) for own in places.values()]


def _draw(sides: Sequence[Sequence[SortedMarks]], volumes: Sequence[Rows]) -> list[_Draw]:
    """The scans as they are, then `RESAMPLES` draws of volumes with replacement, each of their scans with a draw of its nodules."""
    sizes = [len(scan.found) for scan in sides[0]]
    starts = np.cumsum([0, *sizes[:-1]])
    all_found = [np.concatenate([scan.found for scan in side]) for side in sides]
    rng = np.random.default_rng(0)
    draws = []
    for number in range(RESAMPLES + 1):
        drawn = np.arange(len(volumes)) if number == 0 else rng.integers(0, len(volumes), len(volumes))
        scans = np.concatenate([volumes[one] for one in drawn])
        own = [np.arange(sizes[scan]) if number == 0 else rng.integers(0, max(1, sizes[scan]), sizes[scan]) for scan in scans]
        rows = np.concatenate([starts[scan] + part for scan, part in zip(scans, own, strict=True)])
        limits = [false_mark_limits([side[scan] for scan in scans]) for side in sides]
        draws.append(_Draw(rows, (all_found[0][rows], all_found[1][rows]), (limits[0], limits[1])))
    return draws


def false_mark_limits(scans: Sequence[SortedMarks]) -> Floats:
    """The probability that a nodule must exceed at each of `RATES` false marks per scan."""
    false = np.concatenate([scan.false for scan in scans])
    return np.array([limit_at(false, rate * len(scans)) for rate in RATES])


def sensitivities_at(found: Floats, limits: Floats) -> Floats:
    """The share of nodules above each limit; nan without nodules."""
    if len(found) == 0:
        return np.full(len(limits), np.nan)
    shares: Floats = (found[:, None] > limits).mean(axis=0)
    return shares
