"""One look at a unit: what the database and the headers say, as the pure rules want to see it."""

from dataclasses import dataclass
from datetime import datetime

from core.policy.completeness import Bringer, Counted, Decision, Policy, Progress, decide
from core.policy.slice_coverage import Wholeness, judge, slice_of
from core.settings.completion import CompletionSection
from core.states import UnitKind
from db.complete import units
from db.engine import Database
from db.records import InstanceView, UnitView
from dicom_node.conduct.route_claims import Contents, contents

_NOT_JUDGED = Wholeness(False, "geometry not judged yet")


@dataclass(frozen=True, slots=True)
class Look:
    """A unit at one moment, and the decision on it. ``contents`` is None where it was too early to read headers."""

    unit: UnitView
    progress: Progress
    decision: Decision
    contents: Contents | None


def policy_of(completion: CompletionSection) -> Policy:
    """The policy that the configuration says; counts are taken no later than anything else could decide."""
    look_s = min(2.0, max(completion.settle_s / 4, 0.1), max(completion.quiet_s / 4, 0.1))
    return Policy(completion.settle_s, completion.quiet_s, completion.max_wait_s, look_s)


def look(database: Database, unit: UnitView, policy: Policy, now: datetime) -> Look:
    """Decide on a unit. Headers are read only once time alone no longer says "not yet"."""
    progress = _progress(unit, None)
    decision = decide(progress, policy, now)
    quiet_s = (now - unit.last_received_at).total_seconds()
    too_early = quiet_s < min(policy.look_s, policy.settle_s, policy.quiet_s)
    if unit.kind is not UnitKind.IMAGE and too_early and not decision.complete:
        return Look(unit, progress, decision, None)
    instances = units.instances(database, unit.id)
    progress = _progress(unit, instances)
    return Look(unit, progress, decide(progress, policy, now), contents(instances))


def _progress(unit: UnitView, instances: list[InstanceView] | None) -> Progress:
    stated = {one.header.series_related_instances for one in instances or []} - {None}
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
        wholeness=_NOT_JUDGED if instances is None else judge(slice_of(one.header) for one in instances),
    )
