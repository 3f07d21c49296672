"""What the database hands out and takes: plain frozen records, no rows, no sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from core.policy.result_profiles import ResultProfiles
from core.records import InstanceHeader, ResultObject, UnitInput
from core.states import JobState, Priority, UnitKind, UnitState


@dataclass(frozen=True, slots=True)
class BlobRef:
    """Bytes that are safe on disk: named by their sha256 (hex)."""

    sha256: str
    size_bytes: int


class Admitted(StrEnum):
    NEW = "new"  # a new instance
    DUPLICATE = "duplicate"  # the same bytes again: no row, no work
    UNDECIDED = "undecided"  # the same UID, other bytes: compared off the receive path


@dataclass(frozen=True, slots=True)
class Admission:
    result: Admitted
    instance_id: int
    unit_id: int
    revision: int
    let_go: bool = False  # its bytes were removed by retention: they count again only by ``removals.came_again``


@dataclass(frozen=True, slots=True)
class AssociationView:
    """One association that brought instances of a unit, open or closed."""

    id: UUID
    calling_ae: str
    open: bool
    last_instance_at: datetime
    broken: bool = False  # it ended without a release (aborted, or its listener was lost)


@dataclass(frozen=True, slots=True)
class UnitView:
    """A unit of analysis as the conductor sees it. Times are the database's clock, UTC."""

    id: int
    kind: UnitKind
    state: UnitState
    revision: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str  # "" for a series
    source: str  # calling AE title of the first sender
    held: int  # current instances
    first_received_at: datetime
    last_received_at: datetime
    associations: tuple[AssociationView, ...]
    undecided: int  # instances whose content is still being compared
    expected: int | None = None  # from C-FIND, at the last look
    expected_at: datetime | None = None
    expected_before: int | None = None  # at the look before
    routes: tuple[str, ...] = ()  # route names, once complete
    selected: bool | None = None  # per_study = "best": selected, passed over, or not asked
    opened_at: datetime | None = None  # when the first instance of this revision came
    reason: str = ""  # why a complete unit has no job
    requested: int | None = None  # instances held that one storage commitment request listed
    requested_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A current instance of a unit."""

    id: int
    header: InstanceHeader
    sha256: str
    size_bytes: int
    received_at: datetime
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """Bytes that were refused with a failure status and kept for a person to look at."""

    id: int
    sha256: str
    size_bytes: int
    reason: str
    status: int
    sop_class_uid: str
    sop_instance_uid: str
    source: str
    first_at: datetime
    last_at: datetime
    times: int


@dataclass(frozen=True, slots=True)
class UndecidedInstance:
    """Two contents of one SOP Instance UID: which is to be compared with which."""

    id: int
    unit_id: int
    sha256: str
    current_sha256: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A wake-up that has not reached the broker yet."""

    id: int
    job_id: int
    queue: str
    model: str


@dataclass(frozen=True, slots=True)
class ClaimedCommand:
    """What a person asked of a role."""

    id: int
    kind: str
    args: Mapping[str, str]
    actor: str


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What the conductor wants done with a complete unit: one per model, and one for each of its shadows.

    ``shadow``: the result is stored and compared, never reported; ``destinations`` is empty then. ``failure_reason``: why there can be no
    analysis at all; the job owes the report that says so.
    """

    model: str
    model_version: str
    pipeline_digest: str
    routes: tuple[str, ...]
    destinations: tuple[str, ...]
    priority: Priority
    shadow: bool = False
    profiles: ResultProfiles = field(default_factory=dict)  # what the destinations take: for a job whose result is made already
    failure_reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredElsewhere:
    """An object of an earlier result that a destination has stored."""

    destination: str
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job under lease. ``token`` is the fence: nothing is written with an old one."""

    id: int
    key: str
    unit_id: int
    unit_kind: UnitKind
    revision: int
    run: int
    attempt: int
    token: UUID
    model: str
    pipeline_digest: str
    priority: Priority
    destinations: tuple[str, ...]
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    inputs: tuple[UnitInput, ...]
    received_at: datetime
    completed_at: datetime
    predecessors: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    """Destination name -> (SOP Class UID, SOP Instance UID, Series Instance UID) of the SR of the older revision that it stored."""
    shadow: bool = False  # nothing is encoded or delivered
    model_version: str = ""
    outdated: tuple[StoredElsewhere, ...] = ()
    """What else of earlier results of the same model destinations have stored and no rejection has named: everything but reports."""
    failure_state: JobState | None = None  # the attempt is not to analyse, but to report why there is no answer; how the job stands
    not_analysed_attempts: int = 0  # how many such attempts there were, this one included
    reason: str = ""  # why it was given up


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A result object whose bytes are already a blob, and where it goes. ``problems``: why it is held, else empty."""

    report: ResultObject
    blob: BlobRef
    destinations: tuple[str, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """When each step of a job happened (UTC) and how long it took (s)."""

    started_at: datetime
    inferred_at: datetime
    prepare_s: float
    infer_s: float
    encode_s: float


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """One object for one destination, under lease."""

    id: int
    token: UUID
    attempt: int
    destination: str
    job_id: int
    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    age_s: float = 0.0  # how long it had waited when it was claimed, all attempts together
    research: bool = False  # made by a model of status research


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A role that is alive; readiness is read from these."""

    role: str
    name: str
    at: datetime
    age_s: float
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What ``audit verify`` found: ``broken`` is the id of the first broken event, None when the chain holds."""

    events: int
    chained: int
    unchained: int
    head: str  # hash of the last chained event
    broken: int | None = None
    reason: str = ""
