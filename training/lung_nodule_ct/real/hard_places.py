"""Finds the places of a series that a detector takes for nodules and that no reader marked: negatives from which it can learn.

The places depend on the weights alone, so that every training that continues the same weights sees the same ones.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from models.ct.isotropic_grid import Index
from models.lung_nodule_ct.two_stages import TwoStageDetector
from training.lung_nodule_ct.real.backgrounds import Background
from training.lung_nodule_ct.real.measurement.examination import examine_pasted, paste_into

HARD = "hard.json"
MOST = 40  # places of a series, those with the highest score first


def find_hard_places(
    detector: TwoStageDetector,
    backgrounds: Sequence[Background],
    thresholds: Mapping[str, float],
    out: Path,
    *,
    seed: int,
    progress: Callable[[str], None] = print,
) -> dict[str, tuple[Index, ...]]:
    """At most MOST native (z, y, x) places of each series, kept in ``out``/hard.json, from where a second call reads them.

    A place that is near a mark, or on a compact structure that readers may have left unmarked, is none.
    """
    path = out / HARD
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for background in backgrounds:
        if background.name in known:
            continue
        scan = examine_pasted(detector, paste_into(background, (), seed=seed, count=0), thresholds)
        wrong = [one for one in scan.candidates if one.target < 0 and not one.uncertain]
        wrong.sort(key=lambda one: (-one.first * one.second, one.centre))
        known[background.name] = [one.centre for one in wrong[:MOST]]
        path.write_text(json.dumps(known), encoding="utf-8")
        progress(f"{background.name}: {len(known[background.name])} places that the initial weights take for nodules")
    return {name: tuple((z, y, x) for z, y, x in places) for name, places in known.items()}
