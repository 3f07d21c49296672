"""Runs a detector on real volumes with pasted real nodules, and keeps every candidate: what a measurement is computed from."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.ct.isotropic_grid import Index, Spacing
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.candidates import LEAST_REACH_MM, ScoredPlace, one_per_nodule
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.regression.stored_marks import PresentNodule
from training.lung_nodule_ct.real.backgrounds import EVERY_FOLD, Background
from training.lung_nodule_ct.real.measurement.variations import VariedVolume, unchanged
from training.lung_nodule_ct.real.nodule_crops import RealNodule, fold_of
from training.lung_nodule_ct.real.prepared_volumes import paste_nodules
from training.lung_nodule_ct.series.training_series import TrainingSeries

PASTED = 40  # per volume, at most
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
    """One volume with its targets and all candidates; ``spacing_mm`` (z, y, x) of the grid of their centres."""

    name: str
    spacing_mm: Spacing
    targets: tuple[PresentNodule, ...]
    candidates: tuple[ExaminedCandidate, ...]


@dataclass(frozen=True, slots=True)
class PastedSeries:
    """A volume of ``series`` with pasted nodules, ``hu``; ``targets`` are these, then the marked ones, with ``centres`` (z, y, x)."""

    series: TrainingSeries
    hu: npt.NDArray[np.int16]
    targets: tuple[PresentNodule, ...]
    centres: tuple[Index, ...]


def paste_into(background: Background, nodules: Sequence[RealNodule], *, seed: int, count: int = PASTED) -> PastedSeries:
    """Paste up to ``count`` of ``nodules`` into a copy of the volume (0: the volume as it is)."""
    series = background.prepare()
    rng = np.random.default_rng([seed, 37, zlib.crc32(background.name.encode())])
    hu, _, pasted = paste_nodules(series, nodules, rng, count)
    targets = [PresentNodule(n.diameter_mm, n.kind, n.place, False) for n in pasted]
    targets += [PresentNodule(n.diameter_mm, "", "", True) for n in background.marks]
    return PastedSeries(series, hu, tuple(targets), (*(n.centre for n in pasted), *(n.centre for n in background.marks)))


def examine_pasted(
    detector: TwoStageDetector, pasted: PastedSeries, thresholds: Mapping[str, float], varied: VariedVolume | None = None
) -> ExaminedScan:
    """List what the detector finds in the volume, or in the volume after a change; all centres are on the grid before the change."""
    series = pasted.series
    seen = varied or unchanged(pasted.hu, series.spacing_mm)
    lungs = lung_field(seen.hu, seen.spacing_mm)
    heat = None if lungs is None else detector.heat(lungs, seen.hu, seen.spacing_mm)
    regions = [] if heat is None else detector.scored_regions(heat, thresholds)
    targets = [(centre, one.diameter_mm) for centre, one in zip(pasted.centres, pasted.targets, strict=True)]
    candidates = []
    for region, second in regions:
        centre = seen.before(region.centre)
        target = nearest_target(centre, targets, series.spacing_mm)
        uncertain = target < 0 and series.distance_to_suspicious(centre) <= NEAR_MM
        candidates.append(ExaminedCandidate(centre, region.score, second, region.diameter_mm, target, uncertain))
    return ExaminedScan(series.name, series.spacing_mm, pasted.targets, tuple(candidates))


def reported_marks(scan: ExaminedScan, score: Callable[[ExaminedCandidate], float]) -> list[tuple[ExaminedCandidate, float]]:
    """The candidates with their score, one for each nodule as the model reports them, highest score first."""
    marks = []
    for one in scan.candidates:
        z, y, x = (index * step for index, step in zip(one.centre, scan.spacing_mm, strict=True))
        marks.append(ScoredPlace((z, y, x), one.diameter_mm, score(one)))
    return [(scan.candidates[index], marks[index].score) for index in one_per_nodule(marks)]


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
    thresholds: Mapping[str, float], out: Path, *, seeds: Sequence[int], count: int = PASTED, progress: Callable[[str], None] = print,
) -> list[ExaminedScan]:  # fmt: skip
    """Examine each volume by the detector of its fold, once with the nodules of that fold's patients that each of ``seeds`` draws.

    Kept in ``out``, one file for each volume and seed. A marked tumour counts with the first seed only.
    """
    out.mkdir(parents=True, exist_ok=True)
    scans = []
    for background in backgrounds:
        for seed in seeds if background.fold != EVERY_FOLD else ():
            path = out / f"{background.name}-{seed}.json"
            if not path.is_file():
                own = [nodule for nodule in nodules if fold_of(nodule.patient) == background.fold]
                scan = examine_pasted(detectors[background.fold], paste_into(background, own, seed=seed, count=count), thresholds)
                path.write_text(json.dumps(asdict(scan)), encoding="utf-8")
                progress(f"{scan.name}, seed {seed}: {len(scan.targets)} nodules, {len(scan.candidates)} candidates")
            scan = scan_from(json.loads(path.read_text(encoding="utf-8")))
            scans.append(scan if seed == seeds[0] else without_marked(scan))
    return scans


def without_marked(scan: ExaminedScan) -> ExaminedScan:
    """The scan with its pasted nodules alone; what lies on a marked nodule is neither right nor wrong."""
    kept = tuple(target for target in scan.targets if not target.marked)  # the pasted ones come first
    candidates = (replace(one, target=-1, uncertain=True) if one.target >= len(kept) else one for one in scan.candidates)
    return replace(scan, targets=kept, candidates=tuple(candidates))


def scan_from(table: Mapping[str, Any]) -> ExaminedScan:
    """The inverse of ``dataclasses.asdict``."""
    targets = tuple(PresentNodule(**one) for one in table["targets"])
    candidates = tuple(ExaminedCandidate(**{**one, "centre": tuple(one["centre"])}) for one in table["candidates"])
    return ExaminedScan(table["name"], tuple(table["spacing_mm"]), targets, candidates)
