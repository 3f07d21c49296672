"""`rules test`: the node's own routing on files, with every condition explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.routing import Attributes, Verdict
from core.settings import Route, Settings
from deploy.units import Unit, gather
from imaging.headers import read_dataset, routable


@dataclass(frozen=True, slots=True)
class Judged:
    """One unit against every route."""

    unit: Unit
    representative: Path
    verdicts: tuple[tuple[Route, Verdict], ...]

    @property
    def taken_by(self) -> list[str]:
        return [route.name for route, verdict in self.verdicts if verdict.holds]

    def lines(self) -> list[str]:
        many = f"{len(self.unit.paths)} instance{'s' if len(self.unit.paths) > 1 else ''}"
        found = [f"{self.unit.path}: one {self.unit.kind.value} of {many}, judged by {self.representative.name}"]
        for route, verdict in self.verdicts:
            best = "; of what it takes in a study only the best is analysed" if route.per_study == "best" else ""
            outcome = (
                f"TAKES it: {route.model} -> {', '.join(route.destinations)}, {route.priority.value}{best}"
                if verdict.holds
                else "does not take it"
            )
            found.append(f"  route {route.name!r} {outcome}")
            found += [f"    {line}" for line in verdict.lines]
        if not self.taken_by:
            found.append(
                "  no route takes it: it is kept and shown, with this reason, and nothing is sent"
                if self.verdicts
                else "  there are no [[routes]]"
            )
        return found

    def as_dict(self) -> dict[str, Any]:
        return {
            "path": str(self.unit.path),
            "kind": self.unit.kind.value,
            "instances": len(self.unit.paths),
            "series_instance_uid": self.unit.series_instance_uid,
            "sop_instance_uid": self.unit.sop_instance_uid,
            "judged_by": str(self.representative),
            "taken_by": self.taken_by,
            "routes": [
                {
                    "route": route.name,
                    "takes": verdict.holds,
                    "why": list(verdict.lines),
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
    judged = [_judge(settings, unit, source) for unit in gathered.units if unit.instances]
    plain = [(unit.path, "a picture file, not DICOM: it cannot come over the network") for unit in gathered.units if not unit.instances]
    return judged, [*gathered.unread, *plain]


def _judge(settings: Settings, unit: Unit, source: str) -> Judged:
    path = representative(unit)
    attributes: Attributes = {**routable(read_dataset(path)), "SourceAETitle": source}
    return Judged(unit, path, tuple((route, route.when.judge(attributes)) for route in settings.routes))


def representative(unit: Unit) -> Path:
    """The instance that routes are judged on: the median along the series, localizers left out."""
    kept = [item for item in unit.instances if "LOCALIZER" not in item.header.image_type] or list(unit.instances)
    kept.sort(key=lambda item: (item.header.instance_number or 0, item.header.sop_instance_uid))
    return kept[len(kept) // 2].path
