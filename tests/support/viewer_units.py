"""Units with real files in the blobs and a result with outlines and heat map, as they lie in the database after a worker's attempt."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.concepts import codes
from core.records import Finding, HeatMap, Measurement, Prediction, ResultObject
from core.states import Outcome, Tier, UnitKind
from db.blobs.store import Blobs
from db.complete.completion import complete_unit
from db.complete.units import units_of_study
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import StoredObject, StoredOverlays
from db.receive import admission
from imaging.headers.instance_header import read_header
from imaging.masks import pack_heat_map, pack_mask
from imaging.overlays import pack_overlays
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume, read_volume
from tests.support.records import Sender, claim, evidence, identity, plan, report, timings


def receive_files(database: Database, blobs: Blobs, files: Sequence[Path], kind: UnitKind) -> str:
    """Store and index files as the listener does; return the Study Instance UID."""
    sender = Sender(database)
    study = ""
    for path in files:
        content = path.read_bytes()
        head, kept = read_header(content), blobs.put(content)
        study = head.study_instance_uid
        admission.admit_instance(database, header=head, blob=kept, kind=kind, association_id=sender.id, source="PACS")
    return study


def _commit(
    database: Database, blobs: Blobs, study: str, model: str, prediction: Prediction, heat: HeatMap | None, objects: Sequence[ResultObject]
) -> tuple[int, int]:
    (unit,) = units_of_study(database, study)
    complete_unit(database, unit, evidence=evidence(unit.held), plans=(plan(model),), routes=(), selected=None, reason="")
    job = claim(database)
    packed = pack_overlays(prediction.findings, heat)
    stored = tuple(StoredObject(one, blobs.put(one.content), job.destinations) for one in objects) or (report(job),)
    commit_result(
        database, job, prediction=prediction, identity=replace(identity(), name=model), objects=stored, timings=timings(),
        overlays=StoredOverlays(blobs.put(packed), lambda: blobs.put(packed)) if packed else None,
    )  # fmt: skip
    return job.unit_id, job.id


def series_with_findings(
    database: Database,
    blobs: Blobs,
    files: Sequence[Path],
    places: Sequence[tuple[tuple[float, float, float], float]],
    objects: Sequence[ResultObject] = (),
) -> tuple[int, Volume]:
    """Receive a series; its result has a round nodule with an outline at each of ``places``: LPS mm, diameter. Returns (unit, volume)."""
    study = receive_files(database, blobs, files, UnitKind.SERIES)
    volume = read_volume(files)
    z, y, x = np.meshgrid(*(np.arange(n) for n in volume.hu.shape), indexing="ij", sparse=True)
    dz, dy, dx = volume.spacing_mm
    coarse = tuple(-(-n // 4) for n in volume.hu.shape)
    kz, ky, kx = np.meshgrid(*(np.arange(n) * 4 + 1.5 for n in coarse), indexing="ij", sparse=True)
    heat = np.zeros(coarse, np.float32)
    findings = []
    for number, (position, diameter) in enumerate(places):
        cz, cy, cx = volume.index(position)
        inside = ((z - cz) * dz) ** 2 + ((y - cy) * dy) ** 2 + ((x - cx) * dx) ** 2 <= (diameter / 2) ** 2
        distance2 = ((kz - cz) * dz) ** 2 + ((ky - cy) * dy) ** 2 + ((kx - cx) * dx) ** 2
        heat = np.maximum(heat, np.exp(-distance2 / diameter**2) * (0.95 - 0.1 * number))
        findings.append(
            Finding(
                "nodule", codes.NODULE, None, 0.93 - 0.1 * number, (Tier.HIGH, Tier.REVIEW, Tier.UNCERTAIN)[number % 3], position, diameter,
                volume.sop_instance_uids[round(cz)], 1, (cx + 0.5, cy + 0.5),
                (Measurement(codes.VOLUME, float(np.pi / 6 * diameter**3), codes.CUBIC_MILLIMETER),), codes.LUNG, mask=pack_mask(inside),
            )
        )  # fmt: skip
    prediction = Prediction(Outcome.FINDINGS, tuple(findings), looked_for="Nodules of 4 mm and more.")
    packed = pack_heat_map(heat, origin=(1.5, 1.5, 1.5), step=(4.0, 4.0, 4.0), meaning="evidence for a nodule")
    unit, _ = _commit(database, blobs, study, "lung_nodule_ct", prediction, packed, objects)
    return unit, volume


def slide_with_finding(database: Database, blobs: Blobs, files: Sequence[Path], point: tuple[float, float]) -> int:
    """Receive a whole slide; its result has a finding at (column, row) of the first file. Returns the unit."""
    study = receive_files(database, blobs, files, UnitKind.SERIES)
    finest = read_header(files[0].read_bytes()).sop_instance_uid
    finding = Finding("nodule", codes.LESION, score=0.9, tier=Tier.REVIEW, sop_instance_uid=finest, image_point=point)
    return _commit(database, blobs, study, "lung_nodule_ct", Prediction(Outcome.FINDINGS, (finding,)), None, ())[0]


def photograph_with_finding(database: Database, blobs: Blobs, file: Path, objects: Sequence[ResultObject] = ()) -> tuple[int, Photograph]:
    """Receive a photograph; its result has a lesion with an outline in the middle, and a heat map. Returns (unit, photograph)."""
    study = receive_files(database, blobs, [file], UnitKind.IMAGE)
    photograph = read_photograph(file)
    rows, columns = photograph.rgb.shape[:2]
    y, x = np.mgrid[0:rows, 0:columns]
    inside = ((y - rows / 2) / (rows / 4)) ** 2 + ((x - columns / 2) / (columns / 5)) ** 2 <= 1
    heat = np.exp(-(((y - rows / 2.4) / (rows / 5)) ** 2 + ((x - columns / 2) / (columns / 5)) ** 2)).astype(np.float32)
    finding = Finding(
        "mel", codes.MELANOMA, 0.81, None, Tier.REVIEW, sop_instance_uid=photograph.sop_instance_uid, site=codes.SKIN,
        mask=pack_mask(inside[None]),
    )  # fmt: skip
    prediction = Prediction(Outcome.FINDINGS, (finding,), {"mel": 0.81, "nv": 0.15, "bkl": 0.04})
    packed = pack_heat_map(heat[None], meaning="evidence for mel (Grad-CAM)")
    unit, _ = _commit(database, blobs, study, "dermoscopy_7class", prediction, packed, objects)
    return unit, photograph
