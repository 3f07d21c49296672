"""Applies routes to one file and explains every condition: for `dicom-node rules test` and the console. Nothing is stored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.uid import UID

from core.policy.own_objects import is_secondary_capture
from core.policy.routes.body_part.condition import LUNGS_IN_IMAGE, LungsSeen, image_decides
from core.policy.routes.routing import RouteDecision, RouteValue
from core.settings.routes import Route
from imaging.headers.own_objects import made_by_dicom_node
from imaging.headers.route_values import read_route_values
from imaging.wire.tolerant_parser import read_dataset


@dataclass(frozen=True, slots=True)
class FileRouting:
    """The decision of every route on one file. ``never``: why no route can select it; empty where one can."""

    never: str
    decisions: tuple[tuple[Route, RouteDecision], ...]


def explain_file(routes: Sequence[Route], file: Path | BinaryIO, source: str, look_for_lungs: Callable[[], LungsSeen]) -> FileRouting:
    """Return the decisions of all routes on the header of a file that ``source`` sends.

    Parameters
    ----------
    look_for_lungs
        Called where a route depends on the lungs in the images.

    Raises
    ------
    CannotUnderstand
        The file cannot be read.
    """
    dataset, attributes = route_attributes(file, source)
    never = exclusion_reason(dataset)
    if not never and any(image_decides(route.when, attributes) for route in routes):
        attributes[LUNGS_IN_IMAGE] = look_for_lungs()
    return FileRouting(never, tuple((route, route.when.evaluate(attributes)) for route in routes))


def route_attributes(file: Path | BinaryIO, source: str) -> tuple[Dataset, dict[str, RouteValue]]:
    """Read the header of a blob. Returns it, and the attributes that route conditions may name.

    Raises
    ------
    CannotUnderstand
        The blob is not the data set that was admitted.
    """
    dataset = read_dataset(file)
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
    if name.endswith("For Processing"):
        return f"raw values of the detector, which are not for display: {name}"
    if "Image Storage" not in name:
        kind = name if "Storage" in name else "an object of an unknown SOP class"
        return f"no image: {kind}"
    return ""
