"""Reads the state of a unit from the database, and decides by the rules of `core.policy.completeness` whether it is complete."""

from dataclasses import dataclass
from datetime import datetime

from core.policy.completeness import Bringer, Counted, Decision, Policy, Progress, decide
from core.policy.slice_coverage import Wholeness, judge, slice_of
from core.settings.completion import CompletionSection
from core.states import UnitKind
from db.complete import units
from db.engine import Database
from db.records import InstanceView, UnitView
from dicom_node.conduct.unit_contents import UnitContents, unit_contents

_NOT_JUDGED = Wholeness(False, "geometry not judged yet")


@dataclass(frozen=True, slots=True)
class UnitSnapshot:
    """A unit at one moment, and the decision on it. ``contents`` is None where it was too early to read headers."""

    unit: UnitView
    progress: Progress
    decision: Decision
    contents: UnitContents | None


def completion_policy(completion: CompletionSection) -> Policy:
    """Return the completion rules of the configuration. The expected count is read before any other evidence could decide."""
    look_s = min(2.0, max(completion.settle_s / 4, 0.1), max(completion.quiet_s / 4, 0.1))
    return Policy(completion.settle_s, completion.quiet_s, completion.max_wait_s, look_s)


def read_unit(database: Database, unit: UnitView, policy: Policy, now: datetime) -> UnitSnapshot:
    """Read a unit and decide on it. Headers are read only once the time since the last instance allows a decision."""
    progress = _progress(unit, None)
    decision = decide(progress, policy, now)
    quiet_s = (now - unit.last_received_at).total_seconds()
    too_early = quiet_s < min(policy.look_s, policy.settle_s, policy.quiet_s)
    if unit.kind is not UnitKind.IMAGE and too_early and not decision.complete:
        return UnitSnapshot(unit, progress, decision, None)
    instances = units.instances(database, unit.id)
    progress = _progress(unit, instances)
    return UnitSnapshot(unit, progress, decide(progress, policy, now), unit_contents(instances))


def _progress(unit: UnitView, instances: list[InstanceView] | None) -> Progress:
    stated = {instance.header.series_related_instances for instance in instances or []} - {None}
    return Progress(
        kind=unit.kind,
        held=unit.held,
        undecided=unit.undecided,
        opened_at=unit.opened_at or unit.first_received_at,
        last_received_at=unit.last_received_at,
        bringers=tuple(Bringer(one.open, one.last_instance_at, one.broken) for one in unit.associations),
        counted=Counted(unit.expected, unit.expected_at, unit.expected_before),
        stated=stated.pop() if len(stated) == 1 else None,
        requested=unit.requested if unit.requested_at is not None and unit.requested_at >= unit.last_received_at else None,
        wholeness=_NOT_JUDGED if instances is None else judge(slice_of(instance.header) for instance in instances),
    )
