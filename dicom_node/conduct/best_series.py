"""``per_study = "best"``: of the series that a route claims in a study, which one is analysed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.policy.completeness import Policy
from core.policy.series_selection import Candidate, best, candidate, why
from core.settings.routes import Route
from core.states import UnitKind, UnitState
from db.complete import units
from db.engine import Database
from db.records import UnitView
from dicom_node.conduct.route_claims import Claim, Contents, contents
from dicom_node.conduct.unit_snapshot import Look, look


@dataclass(frozen=True, slots=True)
class Choice:
    """The routes that are followed for a unit; ``chosen``: None where nothing was to choose. ``reasons`` in words."""

    routes: tuple[Route, ...]
    chosen: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rival:
    unit: UnitView
    routes: tuple[str, ...]
    as_candidate: Candidate


class Choosing:
    """Compares a complete series with the others of its study."""

    def __init__(self, database: Database, policy: Policy, claim: Callable[[UnitView, Contents], Claim]) -> None:
        self._database = database
        self._policy = policy
        self._claim = claim

    def choose(self, seen: Look, routes: Sequence[Route], now: datetime) -> Choice | None:
        """None: a series that the same route claims is still coming in; it is waited for, `max_wait_s` at most."""
        mine = self._as_candidate(seen.unit, seen.contents)
        overdue = now >= seen.progress.opened_at + timedelta(seconds=self._policy.max_wait_s)
        wanted = {route.name for route in routes if route.per_study == "best"}
        rivals: list[_Rival] = []
        unfinished = 0
        for other in units.study(self._database, seen.unit.study_instance_uid):
            if other.id == seen.unit.id or other.kind is not UnitKind.SERIES or other.held < 1:
                continue
            rival, ready = self._rival(other, now)
            if rival is None or not wanted & set(rival.routes):
                continue
            if not ready and not overdue:
                return None
            if ready:
                rivals.append(rival)
            else:
                unfinished += 1
        return self._judge(mine, routes, rivals, unfinished)

    def _rival(self, other: UnitView, now: datetime) -> tuple[_Rival | None, bool]:
        """Another series with the routes that claim it, and whether it is complete."""
        if other.state is UnitState.COMPLETE:
            if not other.routes:
                return None, True
            held = contents(units.instances(self._database, other.id))
            return _Rival(other, other.routes, self._as_candidate(other, held)), True
        seen = look(self._database, other, self._policy, now)
        held = seen.contents or contents(units.instances(self._database, other.id))
        names = tuple(route.name for route in self._claim(other, held).routes)
        return _Rival(other, names, self._as_candidate(other, held)), seen.decision.complete

    def _judge(self, mine: Candidate, routes: Sequence[Route], rivals: list[_Rival], unfinished: int) -> Choice:
        followed: list[Route] = []
        reasons: list[str] = []
        verdicts: list[bool] = []
        for route in routes:
            against = [rival for rival in rivals if route.name in rival.routes] if route.per_study == "best" else []
            running = [rival for rival in against if rival.unit.state is UnitState.OPEN or rival.unit.selected]
            winner = best([mine, *(rival.as_candidate for rival in running)])
            if winner is mine:
                followed.append(route)
            else:
                reasons.append(f"not chosen for route '{route.name}': {why(winner, mine)}")
            if route.per_study != "best":
                continue
            verdicts.append(winner is mine)
            earlier = any(rival.unit.state is UnitState.COMPLETE and rival.unit.selected for rival in against)
            if winner is mine and earlier:
                reasons.append(f"chosen for route '{route.name}' after another series of the study had been: it came later and is better")
        if unfinished and any(verdicts):
            reasons.append(f"chosen without waiting longer than {self._policy.max_wait_s:g} s for {unfinished} other series of the study")
        return Choice(tuple(followed), any(verdicts) if verdicts else None, tuple(reasons))

    @staticmethod
    def _as_candidate(unit: UnitView, held: Contents | None) -> Candidate:
        images = held.images if held is not None else ()
        if not images:
            return Candidate(unit.id, None, False, None, "unknown", 0, 0, None)
        return candidate(unit.id, images[len(images) // 2].header, len(images))
