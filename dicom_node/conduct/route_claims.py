"""Which routes take a unit, and the job plans that come of it, each answer with its reason in words."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from core.policy.own_objects import is_secondary_capture
from core.policy.routing import Attributes, RouteValue
from core.policy.slice_coverage import along, is_localizer
from core.settings.routes import Route
from core.states import Priority
from db.records import InstanceView, JobPlan
from imaging.headers.own_objects import made_by_dicom_node
from imaging.headers.route_values import read_route_values
from imaging.wire.tolerant_parser import read_dataset

_LINE = re.compile(r"^(?P<mark>(?:\[yes\]|\[no\] )\s+)(?P<keyword>\w+) is .*?(?P<wanted>, wanted .*)$")
_PATIENT_GROUP = 0x0010


@dataclass(frozen=True, slots=True)
class Contents:
    """What of a unit is looked at: its images along the series. ``dropped``: SOP Instance UIDs of localizers left out."""

    images: tuple[InstanceView, ...]
    dropped: tuple[str, ...]

    @property
    def note(self) -> str:
        """What was left out, in words; "" where nothing was."""
        count = len(self.dropped)
        return f"{count} localizer{'s' if count > 1 else ''} left out" if count else ""

    @property
    def representative(self) -> InstanceView | None:
        """The one in the middle of the series."""
        return self.images[len(self.images) // 2] if self.images else None


@dataclass(frozen=True, slots=True)
class Claim:
    """The routes that take a unit; where there are none, ``reason`` says why."""

    routes: tuple[Route, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model and its pipeline digest."""

    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Versions:
    """``serving`` is reported; ``shadows`` run on the same units, and are only compared.

    ``problem``: why none may serve; ``serving`` is then the one in whose name that is said.
    """

    serving: Version
    shadows: tuple[Version, ...] = ()
    problem: str = ""


def contents(instances: Sequence[InstanceView]) -> Contents:
    """Drop localizers and order what is left: by position along the normal, else by instance number."""
    images = [one for one in instances if not is_localizer(one.header)]
    dropped = tuple(one.header.sop_instance_uid for one in instances if is_localizer(one.header))
    return Contents(tuple(sorted(images, key=_place)), dropped)


def _place(instance: InstanceView) -> tuple[float, int, int]:
    header = instance.header
    distance = along(header.orientation, header.position) if header.orientation and header.position else 0.0
    return (distance, header.instance_number or 0, instance.id)


def attributes_of(path: Path, source: str) -> tuple[Dataset, dict[str, RouteValue]]:
    """The header of a blob, and what routes are judged on.

    Raises
    ------
    CannotUnderstand
        The blob is not the data set that was admitted.
    """
    dataset = read_dataset(path)
    return dataset, {**read_route_values(dataset), "SourceAETitle": source}


def never_analysed(dataset: Dataset, *, indexed: bool = False) -> str:
    """Why no model may see this object at all; "" if one may. ``indexed``: this installation has made an object of its UID."""
    if indexed or made_by_dicom_node(dataset):
        return "made by dicom-node itself: its own results are not analysed"
    sop_class_uid = str(dataset.get("SOPClassUID", ""))
    name = UID(sop_class_uid).name
    if is_secondary_capture(sop_class_uid):
        return f"no acquired image: {name}"
    if "Image Storage" not in name:
        kind = name if "Storage" in name else "an object of an unknown SOP class"
        return f"no image: {kind}"
    return ""


def claim(routes: Iterable[Route], attributes: Attributes) -> Claim:
    """The routes whose condition holds; else the lines that did not, without values that identify a patient."""
    taking, reasons = [], []
    for route in routes:
        verdict = route.when.evaluate(attributes)
        if verdict.holds:
            taking.append(route)
        else:
            reasons.append(f"route '{route.name}': {_why(verdict.lines) or 'does not hold'}")
    if taking:
        return Claim(tuple(taking), "")
    return Claim((), "no route takes it: " + " | ".join(reasons) if reasons else "no route is configured")


def _why(lines: Iterable[str]) -> str:
    """The conditions that failed; of a group (any, not) what is indented below it too."""
    kept, inside = [], False
    for line in lines:
        if not line.startswith(" "):
            inside = line.startswith("[no]")
        if inside:
            kept.append(_without_patient(line.strip()))
    return "; ".join(kept).replace(":; ", ": ")


def _without_patient(line: str) -> str:
    match = _LINE.match(line)
    tag = tag_for_keyword(match["keyword"]) if match else None
    if match and tag is not None and tag >> 16 == _PATIENT_GROUP:
        line = f"{match['mark']}{match['keyword']} is not as wanted"
    return line.removeprefix("[no]").removeprefix("[yes]").strip()


def plans(routes: Sequence[Route], versions: Callable[[str], Versions]) -> tuple[tuple[JobPlan, ...], list[str]]:
    """One plan for each model, destinations of its routes together, urgent if one of them is; and one for each shadow of it.

    Parameters
    ----------
    versions
        Of the model of that name.

    Returns
    -------
    plans, problems
        Problems: a sentence for every route that names a model which cannot be used; its plan owes a report that says so: the route
        claimed the unit, and silence would read as a negative.
    """
    found: list[JobPlan] = []
    problems: list[str] = []
    for model in dict.fromkeys(route.model for route in routes):
        mine = [route for route in routes if route.model == model]
        answer = versions(model)
        if answer.problem:
            problems += [f"route '{route.name}' names model '{model}', which cannot be used: {answer.problem}" for route in mine]
        planned = JobPlan(
            model=model,
            model_version=answer.serving.version,
            pipeline_digest=answer.serving.digest,
            routes=tuple(route.name for route in mine),
            destinations=tuple(dict.fromkeys(name for route in mine for name in route.destinations)),
            priority=Priority.URGENT if any(route.priority is Priority.URGENT for route in mine) else Priority.ROUTINE,
            failure_reason=f"model '{model}' cannot be used: {answer.problem}" if answer.problem else "",
        )
        found.append(planned)
        quiet = replace(planned, destinations=(), priority=Priority.ROUTINE, shadow=True)
        found += [replace(quiet, model_version=one.version, pipeline_digest=one.digest) for one in answer.shadows]
    return tuple(found), problems
