"""Sensitivity by size, false marks per scan, FROC and calibration error of scored candidates in real volumes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from models.regression.detector_changes import RATES
from models.regression.stored_answers import hashed
from models.regression.stored_marks import StoredMark, StoredScan, limit_at, sort_marks
from training.lung_nodule_ct.real.measurement.examination import ExaminedCandidate, ExaminedScan, reported_marks

BANDS = ((0.0, 4.0), (4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 60.0))
BINS = 10

Score = Callable[[ExaminedCandidate], float]
Floats = npt.NDArray[np.float64]


def real_metrics(scans: Sequence[ExaminedScan], score: Score, operating: float) -> dict[str, Any]:
    """Figures of all scans together, several of which may be of one volume.

    Marks on structures that may be unmarked nodules are counted apart.
    """
    marks = sort_marks([stored_scan(scan, score) for scan in scans])
    found, false = marks.found, marks.false
    targets = [target for scan in scans for target in scan.targets]
    size = np.array([target.diameter_mm for target in targets])
    marked = np.array([target.marked for target in targets])
    groups = {f"{low:g}_to_{high:g}_mm": (size >= low) & (size < high) & ~marked for low, high in BANDS[:4]}
    groups |= {"from_4_mm": (size >= 4) & ~marked, "from_6_mm": (size >= 6) & ~marked, "marked_tumours": marked}
    for kind in ("solid", "part_solid", "ground_glass"):
        groups[kind] = np.array([target.kind == kind for target in targets])
    for place in ("isolated", "pleural", "vessel"):
        groups[place] = np.array([target.place == place for target in targets])
    limits = {rate: limit_at(false, rate * len(scans)) for rate in RATES}

    def group(chosen: npt.NDArray[np.bool_]) -> dict[str, Any]:
        own = found[chosen]
        at = {f"found_at_{rate:g}": share(own > limits[rate]) for rate in (1.0, 4.0, 8.0)}
        return {"n": len(own), **at, "found_at_the_operating_point": int((own >= operating).sum())}

    pasted = found[(size >= 4) & ~marked]
    return {
        "volumes": len({scan.name for scan in scans}),
        "scans": len(scans),
        "sensitivity": share(found[(size >= 4) & ~marked] >= operating),
        "false_positives_per_scan": per_scan(false >= operating, scans),
        **{f"at_{rate:g}_false_per_scan": share(pasted > limits[rate]) for rate in (1.0, 4.0)},
        "uncertain_marks_per_scan": per_scan(marks.uncertain >= operating, scans),
        "second_marks_on_a_nodule_per_scan": per_scan(marks.double >= operating, scans),
        "mean_sensitivity_of_the_froc": round(float(np.mean([(pasted > limit).mean() for limit in limits.values()])), 3),
        "froc": [[rate, share(pasted > limit)] for rate, limit in limits.items()],
        "by_group": {name: group(chosen) for name, chosen in groups.items() if chosen.any()},
    }


def stored_scan(scan: ExaminedScan, score: Score) -> StoredScan:
    """The scan as it is stored beside the weights, with ``score`` as the probability of each mark."""
    nodules = json.dumps([scan.name, *(asdict(nodule) for nodule in scan.targets)])
    marks = tuple(StoredMark(round(scored, 4), one.target, one.uncertain) for one, scored in reported_marks(scan, score))
    return StoredScan(hashed(nodules), scan.targets, marks, hashed(scan.name))


def calibration_error(probabilities: Floats, truth: Floats, weights: Floats) -> float:
    """Expected calibration error over ten bins of equal width; ``weights``: of each mark."""
    bins = np.clip((probabilities * BINS).astype(int), 0, BINS - 1)
    total = 0.0
    for one in range(BINS):
        own = bins == one
        if own.any():
            total += abs(float((weights[own] * (probabilities[own] - truth[own])).sum()))
    return total / float(weights.sum())


def share(chosen: npt.NDArray[np.bool_]) -> float:
    """Share of True, three digits; 0 of none."""
    return round(float(chosen.mean()), 3) if len(chosen) else 0.0


def per_scan(chosen: npt.NDArray[np.bool_], scans: Sequence[ExaminedScan]) -> float:
    """Number of True per scan, two digits."""
    return round(float(chosen.sum()) / len(scans), 2)
