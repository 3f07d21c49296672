"""What the network finds of nodules that were inserted into a real series, and what it finds besides.

Everything measured here is synthetic: no figure says how real nodules of patients fare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from models.lung_nodule_ct.detect import Candidate, candidates, heat_map
from models.lung_nodule_ct.scene import Scene, draw_nodule
from models.lung_nodule_ct.synthetic import Nodule, insert

COPIES = 4
PER_COPY = 15
SIZES = ((4.0, 6.0), (6.0, 10.0), (10.0, 20.0), (20.0, 30.0))
RATES = (1.0, 2.0, 4.0, 8.0)
LEAST_REACH_MM = 5.0


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a series: what was inserted, the best score on each (0: missed), scores of false positives."""

    nodules: tuple[Nodule, ...]
    found: tuple[float, ...]
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


def judge(scene: Scene, nodules: Sequence[Nodule], answers: Sequence[Candidate]) -> Copy:
    """A candidate within the radius of a nodule (at least 5 mm) finds it; else it is false unless on a suspicious region."""
    found = [0.0] * len(nodules)
    false = []
    for answer in answers:
        near = [i for i, n in enumerate(nodules) if _apart(scene, n.centre, answer.centre) <= max(n.diameter_mm / 2, LEAST_REACH_MM)]
        for i in near:
            found[i] = max(found[i], answer.score)
        if not near and scene.away(answer.centre) > 3.0:
            false.append(answer.score)
    return Copy(tuple(nodules), tuple(found), tuple(false))


def run(
    network: nn.Module,
    scene: Scene,
    thresholds: Mapping[str, float],
    *,
    seed: int,
    copies: int = COPIES,
    per_copy: int = PER_COPY,
    device: str = "cpu",
    progress: Callable[[str], None] = print,
) -> list[Copy]:
    """Copies of one series, each with nodules of its own, through the whole detector at any score."""
    open_thresholds = {**thresholds, "score": 0.0}
    results = []
    for index in range(copies):
        hu, nodules = scatter(scene, np.random.default_rng([seed, 17, index]), per_copy)
        heat = heat_map(network, hu, scene.spacing_mm, device)
        answers = [] if heat is None else candidates(heat, open_thresholds)
        results.append(judge(scene, nodules, answers))
        progress(f"{scene.name}: copy {index + 1} of {copies}, {len(nodules)} nodules, {len(answers)} regions")
    return results


def figures(copies: Sequence[Copy], operating: float) -> dict[str, Any]:
    """Sensitivity at rates of false positives per scan, and at the operating score by size, kind and place, with n."""
    found = np.array([s for c in copies for s in c.found])
    nodules = [n for c in copies for n in c.nodules]
    false = np.sort(np.array([s for c in copies for s in c.false]))[::-1]
    at_rates = {}
    for rate in RATES:
        allowed = int(rate * len(copies))
        limit = float(false[allowed]) if len(false) > allowed else 0.0
        at_rates[f"at_{rate:g}_false_per_scan"] = round(float((found > limit).mean()), 3)
    hit = found >= operating

    def share(chosen: Sequence[bool]) -> str:
        mask = np.array(chosen)
        return f"{int(hit[mask].sum())} of {int(mask.sum())}"

    by = {f"{a:g}_to_{b:g}_mm": share([a <= n.diameter_mm < b for n in nodules]) for a, b in SIZES}
    for kind in sorted({n.kind for n in nodules}):
        by[kind] = share([n.kind == kind for n in nodules])
    for place in sorted({n.place for n in nodules}):
        by[place] = share([n.place == place for n in nodules])
    return {
        "synthetic_nodules": len(nodules),
        "copies_of_one_series": len(copies),
        "sensitivity": round(float(hit.mean()), 3),
        "false_positives_per_scan": round(float((false >= operating).sum()) / len(copies), 2),
        **at_rates,
        "found_by_group": by,
    }
