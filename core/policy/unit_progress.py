"""What is known of a unit of analysis while its instances arrive: the input of `core.policy.completeness`."""

from dataclasses import dataclass
from datetime import datetime

from core.policy.slice_coverage import SliceCoverage
from core.states import UnitKind


@dataclass(frozen=True, slots=True)
class CompletionPolicy:
    """Waiting times in seconds, see ``[completion]`` of the configuration.

    ``count_delay_s`` is the wait between the last instance and the first C-FIND of the expected count, and between two of them.
    """

    settle_s: float
    quiet_s: float
    max_wait_s: float
    count_delay_s: float = 2.0


@dataclass(frozen=True, slots=True)
class SendingAssociation:
    """An association that sent instances of the unit. ``aborted``: it ended without a release, so the sender may send again."""

    open: bool
    last_instance_at: datetime
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class SourceCount:
    """How many instances the source reported on C-FIND: the last answer and the one before. None: not asked, or no answer."""

    count: int | None = None
    at: datetime | None = None
    previous: int | None = None


NOT_COUNTED = SourceCount()
UNKNOWN_COVERAGE = SliceCoverage(False, "geometry not judged")


@dataclass(frozen=True, slots=True)
class UnitProgress:
    """State of an open unit.

    Parameters
    ----------
    held
        Number of instances of the unit that are stored.
    undecided
        Number of instances that arrived twice with different content, which are still being compared.
    opened_at
        When the first instance of this revision arrived.
    stated_count
        Number of Series Related Instances (0020,1209), where every instance that has it states the same number.
    commitment_count
        Number of the unit's instances in a storage commitment request that arrived after the last instance, where none of them is missing.
    """

    kind: UnitKind
    held: int
    undecided: int
    opened_at: datetime
    last_received_at: datetime
    associations: tuple[SendingAssociation, ...] = ()
    source_count: SourceCount = NOT_COUNTED
    stated_count: int | None = None
    commitment_count: int | None = None
    coverage: SliceCoverage = UNKNOWN_COVERAGE
