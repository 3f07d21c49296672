"""Runs a detector on real volumes with pasted real nodules, and keeps every candidate: what a measurement is computed from."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.ct.isotropic_grid import Index, Spacing
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.regression.stored_marks import PresentNodule
from training.lung_nodule_ct.real.backgrounds import EVERY_FOLD, Background
from training.lung_nodule_ct.real.nodule_crops import RealNodule, fold_of
from training.lung_nodule_ct.real.prepared_volumes import paste_nodules

PASTED = 40  # per volume, at most
LEAST_REACH_MM = 5.0
NEAR_MM = 3.0  # a candidate nearer than this to an unlabelled compact structure is neither right nor wrong


@dataclass(frozen=True, slots=True)
class ExaminedCandidate:
    """A region of the first stage: native ``centre``, scores of both stages, diameter in mm.

    ``target``: index of the nodule that it finds (pasted ones first, then marked ones), -1: none; ``uncertain``: on a structure that may be
    a nodule without a mark of any reader.
    """

    centre: Index
    first: float
    second: float
    diameter_mm: float
    target: int
    uncertain: bool


@dataclass(frozen=True, slots=True)
class ExaminedScan:
    """One volume with its targets and all candidates."""

    name: str
    targets: tuple[PresentNodule, ...]
    candidates: tuple[ExaminedCandidate, ...]


def examine_volume(
    detector: TwoStageDetector, background: Background, nodules: Sequence[RealNodule], thresholds: Mapping[str, float], *,
    seed: int, count: int = PASTED,
) -> ExaminedScan:  # fmt: skip
    """Paste up to ``count`` of ``nodules`` into a copy of the volume (0: the volume as it is) and list what the detector finds."""
    series = background.prepare()
    rng = np.random.default_rng([seed, 37, zlib.crc32(background.name.encode())])
    hu, _, pasted = paste_nodules(series, nodules, rng, count)
    lungs = lung_field(hu, series.spacing_mm)
    heat = None if lungs is None else detector.heat(lungs, hu, series.spacing_mm)
    regions = [] if heat is None else detector.scored_regions(heat, thresholds)
    centres = [(n.centre, n.diameter_mm) for n in pasted] + [(n.centre, n.diameter_mm) for n in background.marks]
    targets = [PresentNodule(n.diameter_mm, n.kind, n.place, False) for n in pasted]
    targets += [PresentNodule(n.diameter_mm, "", "", True) for n in background.marks]
    candidates = []
    for region, second in regions:
        target = nearest_target(region.centre, centres, series.spacing_mm)
        uncertain = target < 0 and series.distance_to_suspicious(region.centre) <= NEAR_MM
        candidates.append(ExaminedCandidate(region.centre, region.score, second, region.diameter_mm, target, uncertain))
    return ExaminedScan(background.name, tuple(targets), tuple(candidates))


def nearest_target(centre: Index, targets: Sequence[tuple[Index, float]], spacing_mm: Spacing) -> int:
    """Index of the nearest target whose radius (at least 5 mm) holds ``centre``, or -1."""
    best, at = np.inf, -1
    for index, (place, diameter) in enumerate(targets):
        distance = float(np.linalg.norm(np.subtract(place, centre) * spacing_mm))
        if distance <= max(diameter / 2, LEAST_REACH_MM) and distance < best:
            best, at = distance, index
    return at


def examine_all(
    detectors: Mapping[int, TwoStageDetector], backgrounds: Sequence[Background], nodules: Sequence[RealNodule],
    thresholds: Mapping[str, float], out: Path, *, seed: int, count: int = PASTED, progress: Callable[[str], None] = print,
) -> list[ExaminedScan]:  # fmt: skip
    """Examine each volume by the detector of its fold, with nodules of that fold's patients; kept in ``out``, one file per volume."""
    out.mkdir(parents=True, exist_ok=True)
    scans = []
    for background in backgrounds:
        if background.fold == EVERY_FOLD:
            continue
        path = out / f"{background.name}.json"
        if not path.is_file():
            own = [nodule for nodule in nodules if fold_of(nodule.patient) == background.fold]
            scan = examine_volume(detectors[background.fold], background, own, thresholds, seed=seed, count=count)
            path.write_text(json.dumps(asdict(scan)), encoding="utf-8")
            progress(f"{scan.name}: {len(scan.targets)} nodules, {len(scan.candidates)} candidates")
        scans.append(scan_from(json.loads(path.read_text(encoding="utf-8"))))
    return scans


def scan_from(table: Mapping[str, Any]) -> ExaminedScan:
    """The inverse of ``dataclasses.asdict``."""
    targets = tuple(PresentNodule(**one) for one in table["targets"])
    candidates = tuple(ExaminedCandidate(**{**one, "centre": tuple(one["centre"])}) for one in table["candidates"])
    return ExaminedScan(table["name"], targets, candidates)
