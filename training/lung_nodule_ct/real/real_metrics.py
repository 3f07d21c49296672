"""Sensitivity by size, false marks per scan, FROC and calibration error of scored candidates in real volumes."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.lung_nodule_ct.real.examination import ExaminedCandidate, ExaminedScan

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false marks per scan; their mean sensitivity is the score of LUNA16
BANDS = ((0.0, 4.0), (4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 60.0))
BINS = 10

Score = Callable[[ExaminedCandidate], float]
Floats = npt.NDArray[np.float64]


def real_metrics(scans: Sequence[ExaminedScan], score: Score, operating: float) -> dict[str, Any]:
    """Figures of all scans together. Marks on structures that may be unmarked nodules are counted apart."""
    found, false, uncertain, double = gather_scores(scans, score)
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
        "scans": len(scans),
        "sensitivity": share(found[(size >= 4) & ~marked] >= operating),
        "false_positives_per_scan": per_scan(false >= operating, scans),
        **{f"at_{rate:g}_false_per_scan": share(pasted > limits[rate]) for rate in (1.0, 4.0)},
        "uncertain_marks_per_scan": per_scan(uncertain >= operating, scans),
        "second_marks_on_a_nodule_per_scan": per_scan(double >= operating, scans),
        "mean_sensitivity_of_the_froc": round(float(np.mean([(pasted > limit).mean() for limit in limits.values()])), 3),
        "froc": [[rate, share(pasted > limit)] for rate, limit in limits.items()],
        "by_group": {name: group(chosen) for name, chosen in groups.items() if chosen.any()},
    }


def gather_scores(scans: Sequence[ExaminedScan], score: Score) -> tuple[Floats, Floats, Floats, Floats]:
    """The best score on each target (0: missed), and the scores of false, of uncertain and of further marks on a target."""
    found: list[float] = []
    others: dict[str, list[float]] = {"false": [], "uncertain": [], "double": []}
    for scan in scans:
        best = [0.0] * len(scan.targets)
        for candidate in sorted(scan.candidates, key=score, reverse=True):
            value = score(candidate)
            if candidate.target >= 0:
                if best[candidate.target] > 0:
                    others["double"].append(value)
                else:
                    best[candidate.target] = value
            else:
                others["uncertain" if candidate.uncertain else "false"].append(value)
        found += best
    return np.array(found), np.array(others["false"]), np.array(others["uncertain"]), np.array(others["double"])


def limit_at(false: Floats, allowed: float) -> float:
    """The score that a nodule must exceed for at most ``allowed`` false marks."""
    ordered = np.sort(false)[::-1]
    return float(ordered[int(allowed)]) if len(ordered) > int(allowed) else 0.0


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
