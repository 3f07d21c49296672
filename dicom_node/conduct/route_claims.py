"""Which routes claim a unit, by the header of one of its images; where none does, the reason in words."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from core.policy.own_objects import is_secondary_capture
from core.policy.routing import Attributes, RouteValue
from core.settings.routes import Route
from imaging.headers.own_objects import made_by_dicom_node
from imaging.headers.route_values import read_route_values
from imaging.wire.tolerant_parser import read_dataset

_CONDITION = re.compile(r"^(?P<mark>(?:\[yes\]|\[no\] )\s+)(?P<keyword>\w+) is .*?(?P<wanted>, wanted .*)$")
_PATIENT_GROUP = 0x0010


@dataclass(frozen=True, slots=True)
class RouteClaim:
    """The routes that claim a unit. ``reason``: why there are none, else ""."""

    routes: tuple[Route, ...]
    reason: str


def route_attributes(path: Path, source: str) -> tuple[Dataset, dict[str, RouteValue]]:
    """Read the header of a blob. Returns it, and the attributes that route conditions may name.

    Raises
    ------
    CannotUnderstand
        The blob is not the data set that was admitted.
    """
    dataset = read_dataset(path)
    return dataset, {**read_route_values(dataset), "SourceAETitle": source}


def exclusion_reason(dataset: Dataset, *, made_here: bool = False) -> str:
    """Return why no model may analyse this object; "" if one may.

    Parameters
    ----------
    made_here
        Whether this installation has made an object with its SOP Instance UID.
    """
    if made_here or made_by_dicom_node(dataset):
        return "made by dicom-node itself: its own results are not analysed"
    sop_class_uid = str(dataset.get("SOPClassUID", ""))
    name = UID(sop_class_uid).name
    if is_secondary_capture(sop_class_uid):
        return f"no acquired image: {name}"
    if "Image Storage" not in name:
        kind = name if "Storage" in name else "an object of an unknown SOP class"
        return f"no image: {kind}"
    return ""


def claim_routes(routes: Iterable[Route], attributes: Attributes) -> RouteClaim:
    """Return the routes whose condition holds; else the conditions that do not, without values that identify a patient."""
    claiming, reasons = [], []
    for route in routes:
        decision = route.when.evaluate(attributes)
        if decision.holds:
            claiming.append(route)
        else:
            reasons.append(f"route '{route.name}': {_failed_conditions(decision.lines) or 'does not hold'}")
    if claiming:
        return RouteClaim(tuple(claiming), "")
    return RouteClaim((), "no route takes it: " + " | ".join(reasons) if reasons else "no route is configured")


def _failed_conditions(lines: Iterable[str]) -> str:
    """Keep the lines of conditions that failed; of a group (any, not) those that are indented below it too."""
    kept, within_failed = [], False
    for line in lines:
        if not line.startswith(" "):
            within_failed = line.startswith("[no]")
        if within_failed:
            kept.append(_without_patient_value(line.strip()))
    return "; ".join(kept).replace(":; ", ": ")


def _without_patient_value(line: str) -> str:
    match = _CONDITION.match(line)
    tag = tag_for_keyword(match["keyword"]) if match else None
    if match and tag is not None and tag >> 16 == _PATIENT_GROUP:
        line = f"{match['mark']}{match['keyword']} is not as wanted"
    return line.removeprefix("[no]").removeprefix("[yes]").strip()
