"""Sensitivity and false positives of a detector over copies of a series, and the FROC curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.lung_nodule_ct.evaluate import SIZES, SeriesCopy

RATES = (1.0, 2.0, 4.0, 8.0)  # false positives per scan


def detection_metrics(copies: Sequence[SeriesCopy], operating: float, alone: Sequence[SeriesCopy] = ()) -> dict[str, Any]:
    """Sensitivity at rates of false positives per scan, by size, density and place, with n, and the whole curve (``froc``).

    ``operating``: the score of the operating point. ``alone``: the same copies with the first stage alone.
    """
    found = np.array([s for c in copies for s in c.found])
    nodules = [n for c in copies for n in c.nodules]
    densities = [d for c in copies for d in c.densities]
    false = np.array([s for c in copies for s in c.false])
    limits = _score_limits(copies)
    groups = {f"{a:g}_to_{b:g}_mm": [a <= n.diameter_mm < b for n in nodules] for a, b in SIZES}
    for name in sorted({n.kind for n in nodules}):
        groups[name] = [n.kind == name for n in nodules]
    for place in sorted({n.place for n in nodules}):
        groups[place] = [n.place == place for n in nodules]

    def group(chosen: Sequence[bool]) -> dict[str, Any]:
        scores = found[np.array(chosen)]
        at = {f"found_at_{rate}": round(float((scores > limit).mean()), 2) if len(scores) else 0.0 for rate, limit in limits.items()}
        return {"n": len(scores), **at, "found_at_the_operating_point": int((scores >= operating).sum())}

    rated = [(n.kind, d) for n, d, s in zip(nodules, densities, found, strict=True) if s >= operating]
    result: dict[str, Any] = {
        "synthetic_nodules": len(nodules),
        "copies_of_one_series": len(copies),
        "sensitivity": round(float((found >= operating).mean()), 3),
        "false_positives_per_scan": round(float((false >= operating).sum()) / len(copies), 2),
        **{f"at_{rate}_false_per_scan": round(float((found > limit).mean()), 3) for rate, limit in limits.items()},
        "density_right": f"{sum(a == b for a, b in rated)} of {len(rated)} found",
        "froc": froc_curve(copies),
        "by_group": {name: group(chosen) for name, chosen in groups.items()},
    }
    if alone:
        first = np.array([s for c in alone for s in c.found])
        first_limits = _score_limits(alone)
        result["first_stage_alone"] = {f"at_{rate}": round(float((first > limit).mean()), 3) for rate, limit in first_limits.items()}
    return result


def froc_curve(copies: Sequence[SeriesCopy]) -> list[list[float]]:
    """FROC points [false positives per scan, sensitivity] from the highest score on: every point with more found, and the last."""
    found = np.array([s for c in copies for s in c.found])
    false = np.array([s for c in copies for s in c.false])
    points: list[list[float]] = []
    for limit in sorted({float(s) for s in (*found, *false) if s > 0}, reverse=True):
        point = [round(float((false >= limit).sum()) / len(copies), 3), round(float((found >= limit).mean()), 4)]
        if points and points[-1][0] == point[0]:
            points[-1] = point
        else:
            points.append(point)
    return [point for index, point in enumerate(points) if index in (0, len(points) - 1) or point[1] > points[index - 1][1]]


def _score_limits(copies: Sequence[SeriesCopy]) -> dict[str, float]:
    """The score that a nodule must exceed for each rate of false positives per scan."""
    false = np.sort(np.array([s for c in copies for s in c.false]))[::-1]
    return {f"{rate:g}": float(false[int(rate * len(copies))]) if len(false) > int(rate * len(copies)) else 0.0 for rate in RATES}
