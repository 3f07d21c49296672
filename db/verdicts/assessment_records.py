"""What the encoder of assessments is given: the result, the report that the assessment refers to, and the verdicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import Finding, ModelIdentity, ResultObject, UnitInput
from core.states import Priority
from db.blobs.blob_ref import BlobRef

StoredUids = tuple[str, str, str]  # SOP Class UID, SOP Instance UID, Series Instance UID


@dataclass(frozen=True, slots=True)
class JudgedFinding:
    """One current verdict.

    Attributes
    ----------
    number
        Number of the finding in the report, from 1; 0 for the result as a whole; None for a missed finding.
    finding
        The finding as it was judged: a correction is applied. None for the result as a whole.
    verdict_id
        Number of the verdict.
    """

    kind: VerdictKind
    verdict_id: int
    user: str
    at: datetime
    number: int | None
    finding: Finding | None
    reason: RejectionReason | None = None


@dataclass(frozen=True, slots=True)
class AssessedReport:
    """A report (SR) of the result. ``destinations``: those that have received it, or will."""

    profile: str
    uids: StoredUids
    sha256: str
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimedAssessment:
    """An assessment under lease. ``token`` is the fencing token.

    ``predecessors``: by destination, the earlier assessment that it has stored. ``frame_of_reference_uid``: of all images, "" if they
    have none in common.
    """

    id: int
    token: UUID
    attempt: int
    number: int
    job_id: int
    key: str
    revision: int
    run: int
    priority: Priority
    destinations: tuple[str, ...]
    study_instance_uid: str
    identity: ModelIdentity
    inputs: tuple[UnitInput, ...]
    frame_of_reference_uid: str
    judged: tuple[JudgedFinding, ...]
    reports: tuple[AssessedReport, ...]
    predecessors: Mapping[str, StoredUids]


@dataclass(frozen=True, slots=True)
class StoredAssessment:
    """An encoded assessment whose bytes are a blob already; one with problems is held."""

    made: ResultObject
    blob: BlobRef
    destinations: tuple[str, ...]
    problems: tuple[str, ...] = ()
