"""Units of analysis, their associations and instances, as the conductor reads them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from core.records import InstanceHeader
from core.states import UnitKind, UnitState


@dataclass(frozen=True, slots=True)
class AssociationView:
    """An association that brought instances of a unit, open or closed."""

    id: UUID
    calling_ae: str
    open: bool
    last_instance_at: datetime
    broken: bool = False  # it ended without a release (aborted, or its listener was lost)


@dataclass(frozen=True, slots=True)
class UnitView:
    """A unit of analysis. Times are those of the database's clock, in UTC."""

    id: int
    kind: UnitKind
    state: UnitState
    revision: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str  # "" for a series
    source: str  # calling AE title of the first sender
    held: int  # number of current instances
    first_received_at: datetime
    last_received_at: datetime
    associations: tuple[AssociationView, ...]
    undecided: int  # number of instances whose content is still to be compared
    expected: int | None = None  # number of instances that the source reported at the last check
    expected_at: datetime | None = None
    expected_before: int | None = None  # number that it had reported at the check before
    routes: tuple[str, ...] = ()  # names of the routes that took it, once it is complete
    selected: bool | None = None  # per_study = "best": selected or not; None where it does not apply
    opened_at: datetime | None = None  # when the first instance of this revision was received, or when it was routed again
    reason: str = ""  # why a complete unit has no job; why an open one waits for its images
    requested: int | None = None  # number of instances held when one storage commitment request listed all of them
    requested_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """A current instance of a unit."""

    id: int
    header: InstanceHeader
    sha256: str
    size_bytes: int
    received_at: datetime
    notes: tuple[str, ...] = ()  # errors in the data set that were tolerated
    removed: bool = False  # retention has deleted its file
