"""The units that a trial takes: those that routes of the model selected, or would select where no version served when they came."""

from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.errors import NodeError, StoreUnavailable
from core.policy.routes.series_selection import SeriesCandidate, best_series, series_candidate
from core.policy.trial.id_set import IdSet
from core.settings.routes import Route
from core.settings.settings import Settings
from core.states import UnitKind, UnitState
from db.blobs.open_blobs import open_blobs
from db.complete import units
from db.complete.unit_records import UnitView
from db.engine import Database
from db.trial.stored_units import StoredUnit, TrialSelection, stored_units, tried_routes
from dicom_node.conduct.image_search.lung_evidence import look_for_lungs
from dicom_node.conduct.unit_contents import unit_contents
from dicom_node.conduct.unit_routes import match_unit_routes

TELL_EVERY = 1000  # stored units
TELL_EVERY_OF_CONDITIONS = 100  # a condition may need the images
STUDIES_KEPT = 64  # whose series are compared: series of one study are complete at nearly the same time
Routes = tuple[str, ...]


class TrialUnits:
    """The units that a trial takes, the latest first, in 11 bytes each; what else is known of them is counted.

    Attributes
    ----------
    ids
        Units with images, or with a result of the version already.
    images_removed
        Units that have lost images to retention. Where conditions are applied, whether a route would select them is not known.
    ended
        Units with a job of the version that neither waits nor runs.
    present
        Number of units with a job of the version.
    waiting
        Routes -> number of units without an ended job.
    unreadable
        Number of units to which the conditions could not be applied, because their files could not be read.
    """

    def __init__(self) -> None:
        self.ids, self.images_removed = array("q"), array("q")
        self.ended = IdSet()
        self.present = 0
        self.waiting: Counter[Routes] = Counter()
        self.unreadable = 0
        self._studies = IdSet()
        self._routes = array("H")  # of each unit, an index of `_combinations`: configurations have few routes
        self._combinations: list[Routes] = []

    @property
    def studies(self) -> int:
        """Number of studies of the units."""
        return len(self._studies)

    def add(self, unit: StoredUnit, routes: Routes) -> None:
        """Add a unit, and the routes that select it."""
        if routes not in self._combinations:
            self._combinations.append(routes)
        self.ids.append(unit.id)
        self._routes.append(self._combinations.index(routes))
        self._studies.add(unit.study_id)
        self.present += unit.job_id is not None
        if unit.ended:
            self.ended.add(unit.id)
        else:
            self.waiting[routes] += 1

    def pages(self, size: int) -> Iterator[dict[int, Routes]]:
        """Yield the units in their order, ``size`` at a time, with their routes."""
        for first in range(0, len(self.ids), size):
            part = slice(first, first + size)
            yield {id: self._combinations[index] for id, index in zip(self.ids[part], self._routes[part], strict=True)}


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
        Called with a line for the person who waits: a long period, or conditions that need the images, take their time.

    Raises
    ------
    StoreUnavailable
        Conditions are applied, and the server or node that holds the files does not answer.
    """
    routes = tuple(route for route in settings.routes if route.name in selection.routes)
    conditions = _RouteConditions(settings, database, routes, selection.digest) if by_conditions else None
    every = TELL_EVERY if conditions is None else TELL_EVERY_OF_CONDITIONS
    found = TrialUnits()
    for number, unit in enumerate(stored_units(database, selection), 1):
        if limit is not None and len(found.ids) >= limit:
            break
        if number % every == 0:
            tell(f"{number} stored units looked at, {len(found.ids)} selected")
        names = tuple(name for name in selection.routes if name in unit.tried_for or name in unit.selected_by)
        if unit.images_removed and unit.job_id is None:
            if names or conditions is not None:
                found.images_removed.append(unit.id)
            continue
        if not names and conditions is not None:
            names = conditions.routes_of(unit)
        if names:
            found.add(unit, names)
    found.unreadable = 0 if conditions is None else len(conditions.unreadable)
    return found


@dataclass(frozen=True, slots=True)
class _Claim:
    """The routes whose conditions hold for a unit, and what decides among the series of its study; None for single images."""

    routes: tuple[Route, ...]
    candidate: SeriesCandidate | None


class _RouteConditions:
    """Applies the conditions of routes to stored units, as the conductor does to new ones.

    Attributes
    ----------
    unreadable
        Units whose files could not be read.
    """

    def __init__(self, settings: Settings, database: Database, routes: tuple[Route, ...], digest: str) -> None:
        self._database = database
        self._blobs = open_blobs(settings)
        self._routes = routes
        self._digest = digest
        self._studies: OrderedDict[int, dict[int, _Claim]] = OrderedDict()  # study -> unit -> claim, of the studies used last
        self.unreadable = IdSet()

    def routes_of(self, unit: StoredUnit) -> Routes:
        """Return the routes that would select a unit: not those that prefer another series of its study, or were tried on one."""
        study = units.units_of_study(self._database, unit.study_instance_uid)
        view = next((one for one in study if one.id == unit.id), None)
        if view is None:
            return ()
        claims = self._claims_of_study(unit.study_id)
        claimed = self._claim(view, claims).routes
        compared = {route.name for route in claimed if route.per_study == "best" and view.kind is UnitKind.SERIES}
        tried = tried_routes(self._database, self._digest, unit.study_id) if compared else frozenset[str]()
        return tuple(
            route.name
            for route in claimed
            if route.name not in compared or (route.name not in tried and self._best_id(study, route, claims) == unit.id)
        )

    def _claims_of_study(self, study_id: int) -> dict[int, _Claim]:
        claims = self._studies.setdefault(study_id, {})
        self._studies.move_to_end(study_id)
        if len(self._studies) > STUDIES_KEPT:
            self._studies.popitem(last=False)
        return claims

    def _best_id(self, study: Sequence[UnitView], route: Route, claims: dict[int, _Claim]) -> int:
        complete = [one for one in study if one.state is UnitState.COMPLETE and one.kind is UnitKind.SERIES and one.held > 0]
        rivals = [claim for one in complete if route in (claim := self._claim(one, claims)).routes]
        return best_series([claim.candidate for claim in rivals if claim.candidate is not None]).unit_id

    def _claim(self, view: UnitView, claims: dict[int, _Claim]) -> _Claim:
        """The claim of a unit; no route claims one whose files cannot be read, which is counted."""
        if view.id not in claims:
            contents = unit_contents(units.instances_of_unit(self._database, view.id))
            routes: tuple[Route, ...] = ()
            try:
                routes = match_unit_routes(self._routes, self._database, self._blobs, view.source, contents, look_for_lungs).routes
            except StoreUnavailable:  # of every unit: what is stored cannot be read now
                raise
            except NodeError:
                self.unreadable.add(view.id)
            headers = [image.header for image in contents.images]
            claims[view.id] = _Claim(routes, series_candidate(view.id, headers) if routes and view.kind is UnitKind.SERIES else None)
        return claims[view.id]
