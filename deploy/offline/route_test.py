"""Applies the routes to files and explains every condition (``rules test``). Nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.clock import system_clock
from core.errors import NodeError
from core.policy.priors.sentences import rule_in_words
from core.policy.routes.body_part.condition import LungsSeen
from core.policy.routes.routing import RouteDecision
from core.policy.routes.series_selection import best_series, explain_choice, series_candidate
from core.records import InstanceHeader
from core.settings.routes import Route
from core.settings.settings import Settings
from core.states import UnitKind
from db.complete.unit_records import InstanceView
from deploy.offline.units import Unit, gather_units
from deploy.offline.unreadable import unreadable
from dicom_node.conduct.unit_contents import unit_contents
from imaging.headers.route_test import explain_file


@dataclass(frozen=True, slots=True)
class RoutedUnit:
    """The decision of every route on one unit.

    Attributes
    ----------
    representative
        The file whose header the conditions were tested on.
    images
        Headers of the images that would be analysed.
    dropped
        SOP Instance UIDs of localizers, which are left out.
    never
        Why no route can select the unit; empty where one can.
    decisions
        Each route with its decision.
    passed_over
        (route, reason) where the route analyses another series of the study.
    """

    unit: Unit
    representative: Path
    header: InstanceHeader
    images: tuple[InstanceHeader, ...]
    dropped: tuple[str, ...]
    never: str
    decisions: tuple[tuple[Route, RouteDecision], ...]
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def matching_routes(self) -> list[str]:
        """Routes whose conditions hold."""
        return [] if self.never else [route.name for route, decision in self.decisions if decision.holds]

    @property
    def selecting_routes(self) -> list[str]:
        """Routes that would analyse the unit: not those that prefer another series of the study."""
        lost = dict(self.passed_over)
        return [name for name in self.matching_routes if name not in lost]

    def lines(self) -> list[str]:
        """Return the decisions as text."""
        count = len(self.unit.paths)
        many = f"{count} instance{'s' if count > 1 else ''}"
        found = [f"{self.unit.path}: one {self.unit.kind.value} of {many}, conditions tested on {self.representative.name}"]
        found += [f"  {text}" for text in self.dropped]
        if self.never:
            return [*found, f"  no route can select it: {self.never}"]
        lost = dict(self.passed_over)
        for route, decision in self.decisions:
            if route.name in lost:
                outcome = f"matches, but analyses another series of the study: {lost[route.name]}"
            elif decision.holds:
                outcome = f"SELECTS it: {route.model} -> {', '.join(route.destinations)}, {route.priority.value}"
                outcome += "" if route.priors is None else f". {rule_in_words(route.priors.rule)}"
            else:
                outcome = "does not select it"
            found += [f"  route {route.name!r} {outcome}", *(f"    {line}" for line in decision.lines)]
        if not self.decisions:
            found.append("  no route is configured")
        elif not self.selecting_routes:
            found.append("  no route selects it: it is stored and listed with this reason, and nothing is delivered")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the decisions for JSON."""
        lost = dict(self.passed_over)
        return {
            "path": str(self.unit.path),
            "kind": self.unit.kind.value,
            "instances": len(self.unit.paths),
            "study_instance_uid": self.header.study_instance_uid,
            "series_instance_uid": self.unit.series_instance_uid,
            "sop_instance_uid": self.unit.sop_instance_uid,
            "judged_by": str(self.representative),
            "dropped": list(self.dropped),
            "never": self.never,
            "taken_by": self.selecting_routes,
            "routes": [
                {
                    "route": route.name,
                    "takes": route.name in self.selecting_routes,
                    "claims": route.name in self.matching_routes,
                    "why": [*decision.lines, *([lost[route.name]] if route.name in lost else [])],
                    "model": route.model,
                    "destinations": list(route.destinations),
                    "priority": route.priority.value,
                    "per_study": route.per_study,
                    "priors": None if route.priors is None else route.priors.model_dump(mode="json"),
                }
                for route, decision in self.decisions
            ],
        }


def explain_routes(settings: Settings, paths: Sequence[Path], source: str) -> tuple[list[RoutedUnit], list[tuple[Path, str]]]:
    """Return every unit of ``paths`` with the decisions of all routes, and the files that cannot be read, with the reason."""
    gathered = gather_units(paths)
    unread = list(gathered.unread)
    routed = []
    for unit in gathered.units:
        if not unit.instances:
            unread.append((unit.path, "an image file, not DICOM: it cannot be received over the network"))
            continue
        try:
            routed.append(_route_unit(settings, unit, source))
        except (NodeError, OSError) as error:
            unread.append((unit.path, str(unreadable(error, unit.paths) or error)))
    return _apply_per_study(settings, routed), unread


def _route_unit(settings: Settings, unit: Unit, source: str) -> RoutedUnit:
    now = system_clock()
    views = [InstanceView(number, item.header, "", 0, now) for number, item in enumerate(unit.instances)]
    held = unit_contents(views)
    middle = held.representative or views[len(views) // 2]
    path = unit.instances[middle.id].path
    files = list(dict.fromkeys(unit.instances[view.id].path for view in held.images))
    found = explain_file(settings.routes, path, source, lambda: _search_lungs(files))
    never = found.never or ("" if held.images else "only localizers")
    images = tuple(view.header for view in held.images)
    return RoutedUnit(unit, path, middle.header, images, held.dropped, never, found.decisions)


def _search_lungs(files: Sequence[Path]) -> LungsSeen:
    from models.ct.lung_search import search_lungs  # loads scipy: only where the images decide

    return search_lungs(files)


def _apply_per_study(settings: Settings, routed: list[RoutedUnit]) -> list[RoutedUnit]:
    """Apply ``per_study = "best"`` to the series that were given."""
    lost: dict[int, list[tuple[str, str]]] = {}
    for route in settings.routes:
        if route.per_study != "best":
            continue
        studies: dict[str, list[int]] = {}
        for index, item in enumerate(routed):
            if item.unit.kind is UnitKind.SERIES and route.name in item.matching_routes:
                studies.setdefault(item.header.study_instance_uid, []).append(index)
        for rivals in studies.values():
            candidates = [series_candidate(index, routed[index].images) for index in rivals]
            winner = best_series(candidates)
            for other in candidates:
                if other is not winner:
                    lost.setdefault(other.unit_id, []).append((route.name, explain_choice(winner, other)))
    return [replace(item, passed_over=tuple(lost.get(index, ()))) for index, item in enumerate(routed)]
