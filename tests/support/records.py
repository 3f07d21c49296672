"""Creates records for tests of the database with a few arguments."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from core.concepts.codes import RIGHT, UPPER_ZONE
from core.concepts.private_codes import DENSITY, SOLID
from core.policy.verdicts import RejectionReason, VerdictDraft, VerdictKind
from core.records import (
    Code,
    CompletionEvidence,
    Evaluation,
    Finding,
    InstanceHeader,
    Measurement,
    ModelIdentity,
    Prediction,
    ResultObject,
)
from core.states import Outcome, Priority, ResultKind, Tier, UnitKind
from db.blobs.blob_ref import BlobRef
from db.complete import units
from db.complete.completion import complete_unit
from db.complete.unit_records import UnitView
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.jobs.finish import commit_result
from db.jobs.job_records import ClaimedJob, JobPlan, StoredObject, Timings
from db.listings.deliveries import list_deliveries
from db.receive import admission
from db.receive.admission import Admission
from db.receive.associations import open_association
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"
DIGEST = "d" * 64
NODULE = Code("27925004", "SCT", "Nodule")
DIAMETER = Measurement(Code("81827009", "SCT", "Diameter"), 6.5, Code("mm", "UCUM", "mm"))


def blob(content: str) -> BlobRef:
    """Return the reference to a blob with this content."""
    return BlobRef(hashlib.sha256(content.encode()).hexdigest(), len(content))


def header(number: int = 1, *, series: str = "1.2.3.4", study: str = "1.2.3", **values: object) -> InstanceHeader:
    """Return the header of slice ``number`` of a CT series."""
    given: dict[str, object] = {
        "patient_id": "P1",
        "patient_name": "Doe^Jane",
        "accession_number": "A1",
        "modality": "CT",
        "instance_number": number,
        "position": (0.0, 0.0, float(number)),
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
        "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"),
    }
    return InstanceHeader(CT, f"{series}.{number}", study, series, "1.2.840.10008.1.2.1", **(given | values))  # type: ignore[arg-type]


def plan(model: str = "lung_nodule_ct", *, destinations: tuple[str, ...] = ("pacs",), priority: Priority = Priority.ROUTINE,
         digest: str = DIGEST, routes: tuple[str, ...] = ("chest CT",)) -> JobPlan:  # fmt: skip
    """Return the plan of a job."""
    return JobPlan(model, "1.0", digest, routes, destinations, priority)


def evidence(held: int = 1) -> CompletionEvidence:
    """Return completion evidence for a number of instances."""
    return CompletionEvidence("quiet", "30 s without an instance", datetime.now(UTC), held)


def identity(digest: str = DIGEST) -> ModelIdentity:
    """Return the identity of a model."""
    return ModelIdentity("lung_nodule_ct", "1.0", digest, "Lung nodules", "dicom-node", "research", "not for diagnosis")


def prediction(findings: int = 1) -> Prediction:
    """Return a prediction with a number of findings."""
    found = tuple(
        Finding(
            "nodule",
            NODULE,
            None,
            0.9,
            Tier.REVIEW,
            (1.0, 2.0, 3.0),
            6.5,
            "1.2.3.4.1",
            1,
            (10.5, 11.5),
            (DIAMETER,),
            zone=UPPER_ZONE,
            side=RIGHT,
            evaluations=(Evaluation(DENSITY, SOLID),),
        )
        for _ in range(findings)
    )
    return Prediction(Outcome.FINDINGS if findings else Outcome.NO_FINDING, found, looked_for="nodules of 4 mm and more")


def report(job: ClaimedJob, *, destinations: tuple[str, ...] | None = None, problems: tuple[str, ...] = ()) -> StoredObject:
    """Return the stored report of a job."""
    uid = f"2.25.{int(job.key[:24], 16)}{job.revision}"
    made = ResultObject(ResultKind.SR, "default", SR, uid, f"{uid}.1", b"")
    return StoredObject(made, blob(uid), job.destinations if destinations is None else destinations, problems)


def timings() -> Timings:
    """Return the timings of an attempt."""
    now = datetime.now(UTC)
    return Timings(now, now, 0.1, 0.2, 0.3)


@dataclass
class Sender:
    """An open association on which instances are received."""

    database: Database
    ae: str = "PACS"
    lease_s: float = 60.0
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        open_association(
            self.database, id=self.id, calling_ae=self.ae, called_ae="DICOMNODE", address="127.0.0.1", listener="l1", lease_s=self.lease_s
        )

    def send(self, number: int = 1, *, content: str = "", kind: UnitKind = UnitKind.SERIES, **values: object) -> Admission:
        """Receive one instance on the association."""
        head = header(number, **values)  # type: ignore[arg-type]
        kept = blob(content or f"content of {head.sop_instance_uid}")
        return admission.admit_instance(self.database, header=head, blob=kept, kind=kind, association_id=self.id, source=self.ae)


def unit_of(database: Database, study: str = "1.2.3", index: int = 0) -> UnitView:
    """Return a unit of the study."""
    return units.units_of_study(database, study)[index]


def complete(database: Database, *plans: JobPlan, study: str = "1.2.3", reason: str = "") -> list[int] | None:
    """Complete the first unit of the study."""
    unit = unit_of(database, study)
    return complete_unit(database, unit, evidence=evidence(unit.held), plans=plans, routes=(), selected=None, reason=reason)


def claim(database: Database, *, lease_s: float = 60.0, worker: str = "w1") -> ClaimedJob:
    """Claim the only queued job."""
    (job,) = claim_jobs(database, worker=worker, priorities=None, models=None, lease_s=lease_s)
    return job


def finish(database: Database, job: ClaimedJob, *, findings: int = 1, problems: tuple[str, ...] = ()) -> None:
    """Finish a claimed job with findings and a report."""
    commit_result(
        database, job, prediction=prediction(findings), identity=identity(), objects=(report(job, problems=problems),), timings=timings()
    )


def report_study(database: Database, job_plan: JobPlan | None = None, *, findings: int = 1) -> int:
    """Receive a study of one instance, complete and analyse it; return the id of its job."""
    Sender(database).send(1)
    (job_id,) = complete(database, job_plan or plan()) or []
    finish(database, claim(database), findings=findings)
    return job_id


def judge_finding(database: Database, job_id: int, kind: VerdictKind, reason: RejectionReason | None = None) -> None:
    """Judge the only finding; ``pacs`` receives assessments."""
    finding = int(str(scalar(database, "SELECT id FROM findings")))
    seen = SeenResult(1, database.now(), 1000)
    give_verdict(database, job_id, VerdictDraft(kind, finding, reason), user="green", seen=seen, takes_assessment=["pacs"])


def deliver_all(database: Database, *, commit: bool = False) -> None:
    """Record that the destinations have stored everything that is due."""
    while claimed := delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10):
        for delivery in claimed:
            record_stored(database, delivery, status=0, commit=commit)


def scalar(database: Database, query: str) -> object:
    """Return the value that a query returns."""
    with database.begin() as connection:
        return connection.execute(text(query)).scalar_one()


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def run(database: Database, statement: str) -> None:
    """Execute a statement."""
    with database.begin() as connection:
        connection.execute(text(statement))


def job_state(database: Database) -> str:
    """Return the state of the first job."""
    return str(scalar(database, "SELECT state FROM jobs ORDER BY id LIMIT 1"))


def delivery_states(database: Database) -> dict[str, str]:
    """Return the state of the delivery to each destination."""
    return {row["destination"]: row["state"] for row in list_deliveries(database)}
