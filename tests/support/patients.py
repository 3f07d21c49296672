"""Studies of persons with everything that a node stores of one: images, a delivered result with outlines, a verdict, views."""

import json
from dataclasses import asdict, dataclass

from core.policy.verdicts import VerdictDraft, VerdictKind
from core.records import Change, FindingComparison
from core.states import UnitKind
from db import audit
from db.blobs.blob_ref import BlobRef
from db.blobs.store import Blobs
from db.commitment import destination_requests
from db.commitment.destination_reports import ResendPolicy, record_report
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_records import StoredObject, StoredOverlays
from db.patients.patient_key import PatientKey
from db.receive import admission
from db.receive.quarantine import quarantine_instance
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from tests.support.records import (
    DIGEST,
    Sender,
    claim,
    complete,
    deliver_all,
    header,
    identity,
    plan,
    prediction,
    report,
    rows,
    run,
    scalar,
    timings,
)
from tests.support.series import encoded, image

OUTLINES = b"the same outlines for every result"


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """One study: its number and UID, and the blobs of its images and of its result."""

    id: int
    uid: str
    job_id: int
    images: tuple[BlobRef, ...]
    result: BlobRef

    def kept(self, blobs: Blobs) -> tuple[int, bool]:
        """How many of its images have a file, and whether its result has one."""
        return sum(blobs.path(ref.sha256).exists() for ref in self.images), blobs.path(self.result.sha256).exists()


def receive_images(database: Database, blobs: Blobs, number: int, patient: PatientKey, contents: tuple[bytes, ...]) -> tuple[BlobRef, ...]:
    """Receive a study with one image for each content; return their blobs."""
    study, sender, kept = f"1.2.3.{number}", Sender(database), []
    for place, content in enumerate(contents, start=1):
        named = {"patient_id": patient.patient_id, "issuer_of_patient_id": patient.issuer, "patient_name": f"Name{number}^Given"}
        head = header(place, series=study, study=study, study_date="20260102", **named)
        kept.append(blobs.put(content))
        admission.admit_instance(database, header=head, blob=kept[-1], kind=UnitKind.SERIES, association_id=sender.id, source="PACS")
    return tuple(kept)


def store_study(
    database: Database, blobs: Blobs, number: int, patient: PatientKey, *, contents: tuple[bytes, ...] = (), deliver: bool = True
) -> StoredStudy:
    """Receive, analyse and judge a study; its result is delivered, or waits to be."""
    uid = f"1.2.3.{number}"
    images = receive_images(database, blobs, number, patient, contents or tuple(f"image {uid} {n}".encode() for n in (1, 2)))
    (job_id,) = complete(database, plan(), study=uid) or []
    job = claim(database)
    made = report(job)
    result, outlines = blobs.put(f"report {uid}".encode()), blobs.put(OUTLINES)
    commit_result(
        database, job, prediction=prediction(), identity=identity(), timings=timings(),
        objects=(StoredObject(made.report, result, made.destinations, ()),),
        overlays=StoredOverlays(outlines, lambda: blobs.put(OUTLINES)),
    )  # fmt: skip
    if deliver:
        deliver_all(database)
    finding = int(str(scalar(database, f"SELECT id FROM findings WHERE job_id = {job_id}")))
    draft = VerdictDraft(VerdictKind.ACCEPTED, finding)
    give_verdict(database, job_id, draft, user="green", seen=SeenResult(1, database.now(), 1000))
    run(database, "UPDATE assessments SET state = 'done', finished_at = node_now() WHERE state = 'queued'")
    study = int(str(scalar(database, f"SELECT id FROM studies WHERE study_instance_uid = '{uid}'")))
    audit.record_now(database, actor="user:green", action="study.viewed", subject=f"study:{study}", details={"from": "10.0.0.9"})
    return StoredStudy(study, uid, job_id, images, result)


def refuse_image(database: Database, blobs: Blobs, patient: PatientKey, *, content: bytes = b"") -> int:
    """Put a data set of this person into quarantine, or the ``content``; return its number."""
    issuer = {"IssuerOfPatientID": patient.issuer} if patient.issuer else {}
    one = image(PatientID=patient.patient_id, StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1", **issuer)
    kept = blobs.put(content or encoded(one))
    quarantine_instance(
        database, blob=kept, reason="a test", status=0xC000, sop_class_uid="1.2", sop_instance_uid="1.2.9.1",
        association_id=Sender(database).id, source="PACS", max_bytes=1 << 20,
    )  # fmt: skip
    return int(str(rows(database, f"SELECT id FROM quarantine WHERE sha256 = '{kept.sha256}'")[0][0]))


def verify_trail(database: Database) -> None:
    """Link every event to the chain, and verify the chain."""
    while audit.chain(database):
        pass
    found = audit.verify(database)
    assert (found.broken, found.unchained) == (None, 0)


def refuse_commitment(database: Database) -> None:
    """Deliver what waits to ``pacs``, which stores it, is asked to commit to it, and refuses: the delivery fails."""
    deliver_all(database, commit=True)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=1)
    assert request is not None
    failed = {uid: "no such object instance" for _, uid in request.instances}
    record_report(
        database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=[], failed=failed,
        policy=ResendPolicy(0, 1.0, 1.0),
    )  # fmt: skip


def compare_with_earlier(database: Database, later: StoredStudy, earlier: StoredStudy) -> None:
    """Store that the result of one study was compared with that of another."""
    said = FindingComparison(earlier.job_id, "1.0", "20260102", 0, Change.NOT_MATCHED, reason="a test")
    run(
        database,
        "INSERT INTO job_priors (job_id, place, prior_job_id, model_version, pipeline_digest, study_date, study_time, days)"
        f" VALUES ({later.job_id}, 1, {earlier.job_id}, '1.0', '{DIGEST}', '20260102', '', 0)",
    )
    run(database, f"UPDATE findings SET comparison = '{json.dumps(asdict(said))}' WHERE job_id = {later.job_id}")
