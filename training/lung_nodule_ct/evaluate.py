"""What the network finds of nodules that were inserted into a real series, and what it finds besides.

Everything measured here is synthetic: no figure says how real nodules of patients fare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.ct.lung_field import lung_field
from models.lung_nodule_ct.candidates import Candidate, kind, solid_share
from models.lung_nodule_ct.detector import Detector, together
from models.lung_nodule_ct.heat_map import Heat
from training.lung_nodule_ct.scene import Scene, draw_nodule
from training.lung_nodule_ct.synthetic_nodules import Nodule, insert

COPIES = 3
PER_COPY = 20
SIZES = ((4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 30.0))
RATES = (1.0, 2.0, 4.0, 8.0)
LEAST_REACH_MM = 5.0


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a series: what was inserted, the best score on each (0: missed) and its density by rule, scores of false positives."""

    nodules: tuple[Nodule, ...]
    found: tuple[float, ...]
    densities: tuple[str, ...]
    false: tuple[float, ...]


def scatter(scene: Scene, rng: np.random.Generator, count: int) -> tuple[npt.NDArray[np.int16], list[Nodule]]:
    """A copy of the series with about ``count`` nodules, at least 15 mm of lung between any two."""
    hu = scene.hu.copy()
    nodules: list[Nodule] = []
    for _ in range(count * 8):
        if len(nodules) == count:
            break
        low, high = SIZES[len(nodules) % len(SIZES)]
        nodule = draw_nodule(scene, rng, low, high)
        if nodule is None or any(_apart(scene, nodule.centre, n.centre) < (nodule.diameter_mm + n.diameter_mm) / 2 + 15 for n in nodules):
            continue
        insert(hu, np.zeros(hu.shape, np.float32), scene.spacing_mm, rng, scene.noise, nodule)
        nodules.append(nodule)
    return hu, nodules


def _apart(scene: Scene, one: Sequence[float], other: Sequence[float]) -> float:
    return float(np.linalg.norm(np.subtract(one, other) * scene.spacing_mm))


def judge(scene: Scene, nodules: Sequence[Nodule], answers: Sequence[Candidate], density: Callable[[Candidate], str]) -> Copy:
    """A candidate within the radius of a nodule (at least 5 mm) finds it; else it is false unless on a suspicious region."""
    found, densities = [0.0] * len(nodules), [""] * len(nodules)
    false = []
    for answer in answers:
        near = [i for i, n in enumerate(nodules) if _apart(scene, n.centre, answer.centre) <= max(n.diameter_mm / 2, LEAST_REACH_MM)]
        for i in near:
            if answer.score > found[i]:
                found[i], densities[i] = answer.score, density(answer)
        if not near and scene.away(answer.centre) > 3.0:
            false.append(answer.score)
    return Copy(tuple(nodules), tuple(found), tuple(densities), tuple(false))


def run(
    detector: Detector,
    scene: Scene,
    thresholds: Mapping[str, float],
    *,
    seed: int,
    copies: int = COPIES,
    per_copy: int = PER_COPY,
    progress: Callable[[str], None] = print,
) -> tuple[list[Copy], list[Copy]]:
    """Copies of one series, each with nodules of its own, at any score: judged with both stages, and with the first alone."""
    both, alone = [], []
    for index in range(copies):
        hu, nodules = scatter(scene, np.random.default_rng([seed, 17, index]), per_copy)
        lungs = lung_field(hu, scene.spacing_mm)
        heat = None if lungs is None else detector.heat(lungs, hu, scene.spacing_mm)
        looks = [] if heat is None else detector.looks(heat, thresholds)

        def density(answer: Candidate, heat: Heat | None = heat) -> str:
            return "" if heat is None else kind(solid_share(answer, heat, thresholds["solid_hu"]), thresholds)

        both.append(judge(scene, nodules, together(looks, thresholds["second_weight"], 0.0), density))
        alone.append(judge(scene, nodules, together(looks, 0.0, 0.0), density))
        progress(f"{scene.name}: copy {index + 1} of {copies}, {len(nodules)} nodules, {len(looks)} regions")
    return both, alone


def curve(copies: Sequence[Copy]) -> list[list[float]]:
    """FROC: [false positives per scan, sensitivity] from the strictest limit on; every point where more is found, and the last."""
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


def _limits(copies: Sequence[Copy]) -> dict[str, float]:
    """The score that must be passed for each rate of false positives per scan."""
    false = np.sort(np.array([s for c in copies for s in c.false]))[::-1]
    return {f"{rate:g}": float(false[int(rate * len(copies))]) if len(false) > int(rate * len(copies)) else 0.0 for rate in RATES}


def figures(copies: Sequence[Copy], operating: float, alone: Sequence[Copy] = ()) -> dict[str, Any]:
    """Sensitivity at rates of false positives per scan, by size, density and place, with n, and the whole curve (``froc``).

    ``alone``: the same copies judged by the first stage alone.
    """
    found = np.array([s for c in copies for s in c.found])
    nodules = [n for c in copies for n in c.nodules]
    said = [d for c in copies for d in c.densities]
    false = np.array([s for c in copies for s in c.false])
    limits = _limits(copies)
    groups = {f"{a:g}_to_{b:g}_mm": [a <= n.diameter_mm < b for n in nodules] for a, b in SIZES}
    for name in sorted({n.kind for n in nodules}):
        groups[name] = [n.kind == name for n in nodules]
    for place in sorted({n.place for n in nodules}):
        groups[place] = [n.place == place for n in nodules]

    def group(chosen: Sequence[bool]) -> dict[str, Any]:
        scores = found[np.array(chosen)]
        at = {f"found_at_{rate}": round(float((scores > limit).mean()), 2) if len(scores) else 0.0 for rate, limit in limits.items()}
        return {"n": len(scores), **at, "found_at_the_operating_point": int((scores >= operating).sum())}

    told = [(n.kind, d) for n, d, s in zip(nodules, said, found, strict=True) if s >= operating]
    result: dict[str, Any] = {
        "synthetic_nodules": len(nodules),
        "copies_of_one_series": len(copies),
        "sensitivity": round(float((found >= operating).mean()), 3),
        "false_positives_per_scan": round(float((false >= operating).sum()) / len(copies), 2),
        **{f"at_{rate}_false_per_scan": round(float((found > limit).mean()), 3) for rate, limit in limits.items()},
        "density_right": f"{sum(a == b for a, b in told)} of {len(told)} found",
        "froc": curve(copies),
        "by_group": {name: group(chosen) for name, chosen in groups.items()},
    }
    if alone:
        first = np.array([s for c in alone for s in c.found])
        result["first_stage_alone"] = {f"at_{rate}": round(float((first > limit).mean()), 3) for rate, limit in _limits(alone).items()}
    return result
