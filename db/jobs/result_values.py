"""The values of a result as the parameters of the statements that insert it (`db.jobs.finish`)."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from core.concepts.codes import LATERALITY, TOPOGRAPHICAL_MODIFIER
from core.policy.verdicts import WAITING_NOTE
from core.records import Evaluation, Finding, Prediction
from db.jobs.job_records import ClaimedJob, StoredObject


def object_values(job: ClaimedJob, item: StoredObject) -> dict[str, Any]:
    """Return the parameters that insert one result object and its deliveries."""
    return {
        "job_id": job.id,
        "kind": item.report.kind.value,
        "profile": item.report.profile,
        "sop_class_uid": item.report.sop_class_uid,
        "sop_instance_uid": item.report.sop_instance_uid,
        "series_instance_uid": item.report.series_instance_uid,
        "sha256": item.blob.sha256,
        "size_bytes": item.blob.size_bytes,
        "problems": list(item.problems),
        "destinations": list(dict.fromkeys(item.destinations)),
        "priority": job.priority.value,
        "state": "held" if item.problems else "pending",
        "note": "; ".join(item.problems),
        "waiting_note": WAITING_NOTE,
    }


def finding_values(job_id: int, ordinal: int, finding: Finding) -> dict[str, Any]:
    """Return the parameters that insert one finding."""
    values = asdict(replace(finding, mask=None))  # it is kept in the segmentation
    del values["code"], values["mask"], values["zone"], values["side"], values["place"]
    values |= {
        "job_id": job_id,
        "ordinal": ordinal,
        "code_value": finding.code.value,
        "code_scheme": finding.code.scheme,
        "code_meaning": finding.code.meaning,
        "tier": finding.tier.value,
        "position_mm": None if finding.position_mm is None else list(finding.position_mm),
        "image_point": None if finding.image_point is None else list(finding.image_point),
        "measurements": json.dumps([asdict(measurement) for measurement in finding.measurements]),
        "evaluations": json.dumps([asdict(evaluation) for evaluation in _evaluations(finding)]),
        "site": None if finding.site is None else json.dumps(asdict(finding.site)),
        "organ_place": None if finding.place is None else json.dumps(asdict(finding.place)),
        "comparison": None if finding.comparison is None else json.dumps(asdict(finding.comparison)),
    }
    return values


def _evaluations(finding: Finding) -> list[Evaluation]:
    """What was evaluated, the place within the site first."""
    place = ((TOPOGRAPHICAL_MODIFIER, finding.zone), (LATERALITY, finding.side))
    return [*(Evaluation(name, value) for name, value in place if value is not None), *finding.evaluations]


def findings_digest(prediction: Prediction) -> str:
    """Return the SHA-256 of the findings as they were written."""
    rows = [finding_values(0, ordinal, finding) for ordinal, finding in enumerate(prediction.findings, start=1)]
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
