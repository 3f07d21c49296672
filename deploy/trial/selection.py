"""The units that a trial takes: those that routes of the model selected, or would select where no version served when they came."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import NodeError
from core.policy.routes.series_selection import best_series, series_candidate
from core.settings.routes import Route
from core.settings.settings import Settings
from core.states import UnitKind, UnitState
from db.blobs.open_blobs import open_blobs
from db.complete import units
from db.complete.unit_records import UnitView
from db.engine import Database
from db.trial.stored_units import StoredUnit, TrialSelection, stored_units
from dicom_node.conduct.image_search.lung_evidence import look_for_lungs
from dicom_node.conduct.unit_contents import UnitContents, unit_contents
from dicom_node.conduct.unit_routes import match_unit_routes


@dataclass(frozen=True, slots=True)
class SelectedUnit:
    """A unit of the trial, and the routes of the model that select it."""

    unit: StoredUnit
    routes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TrialUnits:
    """What a trial takes, the latest first.

    Attributes
    ----------
    selected
        With images, or with a result of the version already.
    images_removed
        Units that have lost images to retention. Where conditions are applied, whether a route would select them is not known.
    unreadable
        Number of units to which the conditions could not be applied, because their files could not be read.
    """

    selected: tuple[SelectedUnit, ...]
    images_removed: tuple[StoredUnit, ...]
    unreadable: int = 0


def select_units(
    settings: Settings, database: Database, selection: TrialSelection, *, by_conditions: bool, limit: int | None,
    tell: Callable[[str], None],
) -> TrialUnits:  # fmt: skip
    """Return the units of a trial.

    Parameters
    ----------
    by_conditions
        Apply the conditions of the routes to what is stored; else the jobs of the model say which units its routes have selected.
    limit
        At most so many units, the latest.
    tell
        Called with a line for the person who waits: the conditions may need the images.
    """
    routes = tuple(route for route in settings.routes if route.name in selection.routes)
    conditions = _RouteConditions(settings, database, routes) if by_conditions else None
    selected: list[SelectedUnit] = []
    removed: list[StoredUnit] = []
    stored = stored_units(database, selection)
    if conditions is not None:
        conditions.note_tried(stored)
    for number, unit in enumerate(stored, 1):
        if limit is not None and len(selected) >= limit:
            break
        names = tuple(name for name in selection.routes if name in unit.tried_for or name in unit.selected_by)
        if unit.images_removed and unit.job_id is None:
            removed += [unit] if names or conditions is not None else []
            continue
        if not names and conditions is not None:
            names = conditions.routes_of(unit)
            if number % 100 == 0:
                tell(f"routes applied to {number} of {len(stored)} stored units, {len(selected)} selected")
        if names:
            selected.append(SelectedUnit(unit, names))
    return TrialUnits(tuple(selected), tuple(removed), 0 if conditions is None else conditions.unreadable)


class _RouteConditions:
    """Applies the conditions of routes to stored units, as the conductor does to new ones."""

    def __init__(self, settings: Settings, database: Database, routes: tuple[Route, ...]) -> None:
        self._database = database
        self._blobs = open_blobs(settings)
        self._routes = routes
        self._claims: dict[int, tuple[Route, ...]] = {}
        self._contents: dict[int, UnitContents] = {}
        self._tried: set[tuple[str, str]] = set()  # (study, route) with a series that an earlier trial has taken
        self.unreadable = 0

    def note_tried(self, stored: Sequence[StoredUnit]) -> None:
        """Remember for which studies an earlier run of the trial has chosen a series already."""
        self._tried = {(unit.study_instance_uid, name) for unit in stored for name in unit.tried_for}

    def routes_of(self, unit: StoredUnit) -> tuple[str, ...]:
        """Return the routes that would select a unit: not those that prefer another series of its study."""
        chosen = []
        study = units.units_of_study(self._database, unit.study_instance_uid)
        view = next((one for one in study if one.id == unit.id), None)
        if view is None:
            return ()
        for route in self._claimed_by(view):
            compares = route.per_study == "best" and view.kind is UnitKind.SERIES
            tried = (unit.study_instance_uid, route.name) in self._tried
            if not compares or (not tried and self._best_id(study, route) == unit.id):
                chosen.append(route.name)
        return tuple(chosen)

    def _best_id(self, study: Sequence[UnitView], route: Route) -> int:
        rivals = [
            one
            for one in study
            if one.state is UnitState.COMPLETE and one.kind is UnitKind.SERIES and one.held > 0 and route in self._claimed_by(one)
        ]
        return best_series([series_candidate(one.id, [image.header for image in self._contents[one.id].images]) for one in rivals]).unit_id

    def _claimed_by(self, view: UnitView) -> tuple[Route, ...]:
        """The routes whose conditions hold for a unit; none, and counted, where its files cannot be read."""
        if view.id not in self._claims:
            contents = self._contents[view.id] = unit_contents(units.instances_of_unit(self._database, view.id))
            try:
                claim = match_unit_routes(self._routes, self._database, self._blobs, view.source, contents, look_for_lungs)
                self._claims[view.id] = claim.routes
            except NodeError:
                self._claims[view.id] = ()
                self.unreadable += 1
        return self._claims[view.id]
