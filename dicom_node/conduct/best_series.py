"""``per_study = "best"``: chooses, of the series that a route claims in a study, the one that is analysed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.errors import ImagesUnreadable
from core.policy.routes.series_selection import SeriesCandidate, best_series, explain_choice, series_candidate
from core.policy.unit_progress import CompletionPolicy
from core.settings.routes import Route
from core.states import UnitKind, UnitState
from db.complete import units
from db.complete.unit_records import UnitView
from db.engine import Database
from dicom_node.conduct.route_claims import RouteClaim
from dicom_node.conduct.unit_contents import UnitContents, unit_contents
from dicom_node.conduct.unit_snapshot import UnitSnapshot, read_unit


@dataclass(frozen=True, slots=True)
class SeriesChoice:
    """The routes that are followed for a unit.

    ``selected``: whether it is the best series of a route; None where no route compares series. ``reasons``: in words.
    """

    routes: tuple[Route, ...]
    selected: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rival:
    unit: UnitView
    routes: tuple[str, ...]
    as_candidate: SeriesCandidate


class BestSeriesChooser:
    """Compares a complete series with the others of its study."""

    def __init__(self, database: Database, policy: CompletionPolicy, match_routes: Callable[[UnitView, UnitContents], RouteClaim]) -> None:
        self._database = database
        self._policy = policy
        self._match_routes = match_routes

    def choose(self, snapshot: UnitSnapshot, routes: Sequence[Route], now: datetime) -> SeriesChoice | None:
        """Choose. None: another series that the same route claims is not complete yet; it is waited for, at most `max_wait_s`."""
        this_series = _as_candidate(snapshot.unit, snapshot.contents)
        overdue = now >= snapshot.progress.opened_at + timedelta(seconds=self._policy.max_wait_s)
        comparing = tuple(route.name for route in routes if route.per_study == "best")
        rivals: list[_Rival] = []
        unfinished = 0
        for other in units.units_of_study(self._database, snapshot.unit.study_instance_uid):
            if other.id == snapshot.unit.id or other.kind is not UnitKind.SERIES or other.held < 1:
                continue
            rival, complete = self._rival(other, comparing, now)
            if rival is None or not set(comparing) & set(rival.routes):
                continue
            if not complete and not overdue:
                return None
            if complete:
                rivals.append(rival)
            else:
                unfinished += 1
        return self._compare(this_series, routes, rivals, unfinished)

    def _rival(self, other: UnitView, comparing: tuple[str, ...], now: datetime) -> tuple[_Rival | None, bool]:
        """Return another series with the routes that claim it, of which ``comparing`` matter, and whether it is complete."""
        if other.state is UnitState.COMPLETE:
            if not other.routes:
                return None, True
            contents = unit_contents(units.instances_of_unit(self._database, other.id))
            return _Rival(other, other.routes, _as_candidate(other, contents)), True
        snapshot = read_unit(self._database, other, self._policy, now)
        contents = snapshot.contents or unit_contents(units.instances_of_unit(self._database, other.id))
        try:
            claim = self._match_routes(other, contents)
        except ImagesUnreadable:  # it is waited for, and does not keep this series for ever
            return _Rival(other, comparing, _as_candidate(other, contents)), False
        if claim.waiting:  # any route may claim it
            return _Rival(other, comparing, _as_candidate(other, contents)), False
        names = tuple(route.name for route in claim.routes)
        return _Rival(other, names, _as_candidate(other, contents)), snapshot.decision.complete

    def _compare(self, this_series: SeriesCandidate, routes: Sequence[Route], rivals: list[_Rival], unfinished: int) -> SeriesChoice:
        followed: list[Route] = []
        reasons: list[str] = []
        selected: list[bool] = []
        for route in routes:
            claimed = [rival for rival in rivals if route.name in rival.routes] if route.per_study == "best" else []
            competing = [rival for rival in claimed if rival.unit.state is UnitState.OPEN or rival.unit.selected]
            winner = best_series([this_series, *(rival.as_candidate for rival in competing)])
            if winner is this_series:
                followed.append(route)
            else:
                reasons.append(f"not chosen for route '{route.name}': {explain_choice(winner, this_series)}")
            if route.per_study != "best":
                continue
            selected.append(winner is this_series)
            earlier = any(rival.unit.state is UnitState.COMPLETE and rival.unit.selected for rival in claimed)
            if winner is this_series and earlier:
                reasons.append(f"chosen for route '{route.name}' after another series of the study had been: it came later and is better")
        if unfinished and any(selected):
            reasons.append(f"chosen without waiting longer than {self._policy.max_wait_s:g} s for {unfinished} other series of the study")
        return SeriesChoice(tuple(followed), any(selected) if selected else None, tuple(reasons))


def _as_candidate(unit: UnitView, contents: UnitContents | None) -> SeriesCandidate:
    images = contents.images if contents is not None else ()
    if not images:
        return SeriesCandidate(unit.id, None, False, None, "unknown", 0, 0, None)
    return series_candidate(unit.id, [image.header for image in images])
