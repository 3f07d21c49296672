"""Jobs as the conductor plans them, as a worker claims them, and what a worker hands back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from core.policy.priors.choice import PriorRule
from core.policy.priors.same_patient import LeftOut
from core.policy.result_profiles import ResultProfiles
from core.records import PriorResult, ResultObject, UnitInput
from core.states import JobState, Priority, UnitKind
from db.blobs.blob_ref import BlobRef


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job for a complete unit, as the conductor plans it: one per model, and one for each of the model's shadows."""

    model: str
    model_version: str
    pipeline_digest: str
    routes: tuple[str, ...]
    destinations: tuple[str, ...]  # empty for a shadow
    priority: Priority
    shadow: bool = False  # the result is stored and compared, never reported
    profiles: ResultProfiles = field(default_factory=dict)  # result profiles of the destinations, for a job that has a result already
    awaiting_verdict: tuple[str, ...] = ()  # of the destinations, those that receive the result only after a verdict
    failure_reason: str = ""  # why there can be no analysis; the job makes only the report that says so
    prior_rule: PriorRule | None = None  # with which earlier results the result of a series is compared


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
    """A job under lease. ``token`` is the fencing token: nothing is written with an old one."""

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
    """Destination -> (SOP Class UID, SOP Instance UID, Series Instance UID) of the report of the older revision that it has stored."""
    shadow: bool = False  # nothing is encoded or delivered
    model_version: str = ""
    outdated: tuple[StoredElsewhere, ...] = ()
    """Other objects of earlier results of the same model that destinations have stored and no rejection has named."""
    failure_state: JobState | None = None
    """Set for an attempt to make the report that the job was not analysed: the state of the job after it."""
    not_analysed_attempts: int = 0  # number of such attempts, this one included
    reason: str = ""  # why the job failed
    source: str = ""  # AE title from which the unit came first
    prior_rule: PriorRule | None = None
    priors: tuple[PriorResult, ...] = ()
    """The earlier results with which the result is compared, the newest first; the same for every attempt."""
    left_out: LeftOut = ()  # results of the same Patient ID that are not surely of the patient
    slice_thickness_mm: float | None = None  # of the series, where it is compared


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A result object whose bytes are a blob already, and its destinations."""

    report: ResultObject
    blob: BlobRef
    destinations: tuple[str, ...]
    problems: tuple[str, ...] = ()  # what validation found wrong; such an object is held


@dataclass(frozen=True, slots=True)
class StoredOverlays:
    """Outlines and heat map for the console's viewer (`imaging.overlays`), whose bytes are a blob already.

    ``store`` stores them once more, whether or not the blob exists: the same image analysed again has equal ones, and those of the earlier
    result may be removed at that moment.
    """

    blob: BlobRef
    store: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Timings:
    """When a job started and inference ended (UTC), and how long each step took, in seconds, and the memory of the process."""

    started_at: datetime
    inferred_at: datetime
    prepare_s: float
    infer_s: float
    encode_s: float
    memory_mib: int | None = None  # the most that the process held; None where it was not measured
