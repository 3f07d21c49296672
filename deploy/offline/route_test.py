"""`rules test`: the node's own routing on files, with every condition explained. Nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.clock import system_clock
from core.errors import NodeError
from core.policy.routing import RouteDecision
from core.policy.series_selection import best, candidate, why
from core.records import InstanceHeader
from core.settings.routes import Route
from core.settings.settings import Settings
from core.states import UnitKind
from db.records import InstanceView
from deploy.offline.units import Unit, gather
from dicom_node.conduct.route_claims import attributes_of, contents, never_analysed


@dataclass(frozen=True, slots=True)
class Judged:
    """One unit against every route. ``never``: why no model may see it; ``passed_over``: route name -> why another series is better."""

    unit: Unit
    representative: Path
    header: InstanceHeader
    images: int
    dropped: tuple[str, ...]
    never: str
    verdicts: tuple[tuple[Route, RouteDecision], ...]
    passed_over: tuple[tuple[str, str], ...] = ()

    @property
    def claimed_by(self) -> list[str]:
        return [] if self.never else [route.name for route, verdict in self.verdicts if verdict.holds]

    @property
    def taken_by(self) -> list[str]:
        lost = dict(self.passed_over)
        return [name for name in self.claimed_by if name not in lost]

    def lines(self) -> list[str]:
        count = len(self.unit.paths)
        many = f"{count} instance{'s' if count > 1 else ''}"
        found = [f"{self.unit.path}: one {self.unit.kind.value} of {many}, judged by {self.representative.name}"]
        found += [f"  {text}" for text in self.dropped]
        if self.never:
            return [*found, f"  no route can take it: {self.never}"]
        lost = dict(self.passed_over)
        for route, verdict in self.verdicts:
            if route.name in lost:
                outcome = f"claims it, but analyses another series of the study: {lost[route.name]}"
            elif verdict.holds:
                outcome = f"TAKES it: {route.model} -> {', '.join(route.destinations)}, {route.priority.value}"
            else:
                outcome = "does not take it"
            found += [f"  route {route.name!r} {outcome}", *(f"    {line}" for line in verdict.lines)]
        if not self.verdicts:
            found.append("  no route is configured")
        elif not self.taken_by:
            found.append("  nothing takes it: it is kept, shown with this reason, and nothing is sent")
        return found

    def as_dict(self) -> dict[str, Any]:
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
            "taken_by": self.taken_by,
            "routes": [
                {
                    "route": route.name,
                    "takes": route.name in self.taken_by,
                    "claims": route.name in self.claimed_by,
                    "why": [*verdict.lines, *([lost[route.name]] if route.name in lost else [])],
                    "model": route.model,
                    "destinations": list(route.destinations),
                    "priority": route.priority.value,
                    "per_study": route.per_study,
                }
                for route, verdict in self.verdicts
            ],
        }


def explain(settings: Settings, paths: Sequence[Path], source: str) -> tuple[list[Judged], list[tuple[Path, str]]]:
    """Every unit of ``paths`` against every route, and the files that could not be read. Picture files are no DICOM: unread."""
    gathered = gather(paths)
    unread = list(gathered.unread)
    judged = []
    for unit in gathered.units:
        if not unit.instances:
            unread.append((unit.path, "a picture file, not DICOM: it cannot come over the network"))
            continue
        try:
            judged.append(_judge(settings, unit, source))
        except NodeError as error:
            unread.append((unit.path, str(error)))
    return _choose(settings, judged), unread


def _judge(settings: Settings, unit: Unit, source: str) -> Judged:
    now = system_clock()
    views = [InstanceView(number, item.header, "", 0, now) for number, item in enumerate(unit.instances)]
    held = contents(views)
    middle = held.representative or views[len(views) // 2]
    path = unit.instances[middle.id].path
    dataset, attributes = attributes_of(path, source)
    verdicts = tuple((route, route.when.evaluate(attributes)) for route in settings.routes)
    never = never_analysed(dataset) or ("" if held.images else "only localizers")
    return Judged(unit, path, middle.header, len(held.images), held.dropped, never, verdicts)


def _choose(settings: Settings, judged: list[Judged]) -> list[Judged]:
    """``per_study = "best"`` among the series that were given."""
    lost: dict[int, list[tuple[str, str]]] = {}
    for route in settings.routes:
        if route.per_study != "best":
            continue
        studies: dict[str, list[int]] = {}
        for index, one in enumerate(judged):
            if one.unit.kind is UnitKind.SERIES and route.name in one.claimed_by:
                studies.setdefault(one.header.study_instance_uid, []).append(index)
        for rivals in studies.values():
            candidates = [candidate(index, judged[index].header, judged[index].images) for index in rivals]
            winner = best(candidates)
            for other in candidates:
                if other is not winner:
                    lost.setdefault(other.unit_id, []).append((route.name, why(winner, other)))
    return [replace(one, passed_over=tuple(lost.get(index, ()))) for index, one in enumerate(judged)]
