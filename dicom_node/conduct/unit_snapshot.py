"""Reads the state of a unit from the database, and decides by the rules of `core.policy.completeness` whether it is complete."""

from dataclasses import dataclass
from datetime import datetime

from core.policy.completeness import CompletionDecision, decide_completion
from core.policy.slice_coverage import SliceCoverage, check_slice_coverage, slice_location
from core.policy.unit_progress import CompletionPolicy, SendingAssociation, SourceCount, UnitProgress
from core.settings.completion import CompletionSection
from core.states import UnitKind
from db.complete import units
from db.complete.unit_records import InstanceView, UnitView
from db.engine import Database
from dicom_node.conduct.unit_contents import UnitContents, unit_contents

_NOT_JUDGED = SliceCoverage(False, "geometry not judged yet")


@dataclass(frozen=True, slots=True)
class UnitSnapshot:
    """A unit at one moment, and the decision on it. ``contents`` is None where it was too early to read headers."""

    unit: UnitView
    progress: UnitProgress
    decision: CompletionDecision
    contents: UnitContents | None


def completion_policy(completion: CompletionSection) -> CompletionPolicy:
    """Return the completion rules of the configuration. The expected count is read before any other evidence could decide."""
    count_delay_s = min(2.0, max(completion.settle_s / 4, 0.1), max(completion.quiet_s / 4, 0.1))
    return CompletionPolicy(completion.settle_s, completion.quiet_s, completion.max_wait_s, count_delay_s)


def read_unit(database: Database, unit: UnitView, policy: CompletionPolicy, now: datetime) -> UnitSnapshot:
    """Read a unit and decide on it. Headers are read only once the time since the last instance allows a decision."""
    progress = _progress(unit, None)
    decision = decide_completion(progress, policy, now)
    quiet_s = (now - unit.last_received_at).total_seconds()
    too_early = quiet_s < min(policy.count_delay_s, policy.settle_s, policy.quiet_s)
    if unit.kind is not UnitKind.IMAGE and too_early and not decision.complete:
        return UnitSnapshot(unit, progress, decision, None)
    instances = units.instances_of_unit(database, unit.id)
    progress = _progress(unit, instances)
    return UnitSnapshot(unit, progress, decide_completion(progress, policy, now), unit_contents(instances))


def _progress(unit: UnitView, instances: list[InstanceView] | None) -> UnitProgress:
    stated = {instance.header.series_related_instances for instance in instances or []} - {None}
    return UnitProgress(
        kind=unit.kind,
        held=unit.held,
        undecided=unit.undecided,
        opened_at=unit.opened_at or unit.first_received_at,
        last_received_at=unit.last_received_at,
        associations=tuple(SendingAssociation(one.open, one.last_instance_at, one.broken) for one in unit.associations),
        source_count=SourceCount(unit.expected, unit.expected_at, unit.expected_before),
        stated_count=stated.pop() if len(stated) == 1 else None,
        commitment_count=unit.requested if unit.requested_at is not None and unit.requested_at >= unit.last_received_at else None,
        coverage=_NOT_JUDGED if instances is None else check_slice_coverage(slice_location(instance.header) for instance in instances),
    )
