"""One file to its slices: where each lies, how its values become HU, and how to get at its pixels later.

A classic CT image is one slice; an Enhanced CT image is one per frame (PS3.3 A.38, C.7.6.16).
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.errors import CannotUnderstand, GeometryError, PixelError
from core.policy.own_objects import is_secondary_capture
from core.records import Lps
from imaging.pixels.decode import PixelSpec, decode, pixel_data, pixel_spec
from imaging.volume.fast_slice import quick_slice
from imaging.wire.tolerant_parser import PixelPlace, locate, understanding
from imaging.wire.tolerant_values import Reader, tolerating

Orientation = tuple[float, float, float, float, float, float]
_HOUNSFIELD = frozenset({"", "HU", "HU_MOD", "US"})  # PS3.3 C.11.1.1.2; US: unspecified, which CT scanners write


@dataclass(frozen=True, slots=True)
class Slice:
    """One plane. ``source`` reads the file's pixel data; ``frame`` from 1. ``placed`` is False where geometry is missing."""

    source: "Source"
    frame: int
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    patient_id: str
    issuer_of_patient_id: str
    accession_number: str
    frame_of_reference_uid: str
    image_type: tuple[str, ...]
    rows: int
    columns: int
    orientation: Orientation
    position: Lps
    pixel_spacing_mm: tuple[float, float]
    placed: bool
    slope: float
    intercept: float
    lossy: bool


class Source:
    """A file's pixel data, read when first asked for; a multi-frame image is decoded once."""

    def __init__(self, path: Path, spec: PixelSpec, place: PixelPlace | None) -> None:
        self._path = path
        self.spec = spec
        self._place = place
        self._lock = threading.Lock()
        self._frames: NDArray[np.generic] | None = None

    def _data(self) -> bytes:
        if self._place is not None:
            with self._path.open("rb") as stream:
                return self._place.read(stream)
        return pixel_data(locate(self._path, pixels=True)[0])

    def frame(self, number: int) -> NDArray[np.generic]:
        """(Y, X) stored values of a frame, counted from 1."""
        if self.spec.frames == 1:
            return cast(NDArray[np.generic], decode(self.spec, self._data())[0])
        with self._lock:
            if self._frames is None:
                self._frames = decode(self.spec, self._data())
            frame: NDArray[np.generic] = self._frames[number - 1]
        return frame


def stored_values(one: Slice) -> NDArray[np.generic]:
    """(Y, X) stored values. Raises `PixelError`."""
    return one.source.frame(one.frame)


def read_slices(paths: Sequence[Path], notes: list[str]) -> list[Slice]:
    """Every slice of the files, in their order; screen captures in a CT series are left out with a note.

    Raises `GeometryError`, `PixelError`, `CannotUnderstand`.
    """
    if not paths:
        raise GeometryError("too few slices: at least 2 expected, 0 came")
    found: list[Slice] = []
    captures = 0
    for path in paths:
        plain = quick_slice(path)
        if plain is not None:
            found.append(Slice(source=Source(path, plain.spec, plain.place), frame=1, placed=True, **plain.values))
            continue
        dataset, place = locate(path)
        if is_secondary_capture(_sop_class(dataset)):
            captures += 1
            continue
        found.extend(_slices(path, dataset, place))
    if captures:
        notes.append(f"{captures} screen capture(s) dropped")
    return found


def _sop_class(dataset: Dataset) -> str:
    notes: list[str] = []
    with tolerating(notes):
        return Reader(dataset, notes).text("SOPClassUID")


def _slices(path: Path, dataset: Dataset, place: PixelPlace | None) -> Iterator[Slice]:
    notes: list[str] = []
    with understanding("a header that cannot be read"), tolerating(notes):
        read = Reader(dataset, notes)
        if not read.text("SOPClassUID") or not read.text("SOPInstanceUID"):
            raise CannotUnderstand("a file without SOP Class and SOP Instance UID", hint="give the DICOM files of one series only")
        modality = read.text("Modality")
        if modality != "CT":
            raise GeometryError(f"CT expected, an instance of modality {modality or '(none)'} came")
        if "LOCALIZER" in read.texts("ImageType") and "Rows" not in dataset:
            return
        spec = pixel_spec(dataset, vr=place.vr if place else "")
        if spec.samples != 1:
            raise PixelError(f"1 sample per pixel expected of CT, {spec.samples} came")
        source = Source(path, spec, place)
        if "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset:
            groups = list(_functional_groups(dataset))
            if len(groups) != spec.frames:
                raise GeometryError(f"{spec.frames} frames expected, {len(groups)} described in the functional groups")
        elif spec.frames > 1:
            raise GeometryError("a multi-frame image without functional groups has no positions")
        else:
            groups = [_Groups((dataset,))]
        for number, group in enumerate(groups, start=1):
            yield _slice(read, group, source, number, notes)


@dataclass(frozen=True, slots=True)
class _Groups:
    """Where a frame's attributes may stand, nearest first."""

    places: tuple[Dataset, ...]

    def item(self, macro: str) -> Dataset | None:
        for place in self.places:
            items = place.get(macro)
            if items is not None and len(items):
                return cast(Dataset, items[0])
        return None

    def reader(self, macro: str, notes: list[str]) -> Reader:
        """The macro's item; the data set itself for a classic image, which has no macros."""
        item = self.item(macro)
        return Reader(item if item is not None else self.places[-1], notes)


def _functional_groups(dataset: Dataset) -> Iterable[_Groups]:
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for frame in dataset.get("PerFrameFunctionalGroupsSequence") or []:
        yield _Groups((frame, *islice(shared, 1)))


def _slice(read: Reader, group: _Groups, source: Source, number: int, notes: list[str]) -> Slice:
    orientation = group.reader("PlaneOrientationSequence", notes).numbers("ImageOrientationPatient", 6)
    position = group.reader("PlanePositionSequence", notes).numbers("ImagePositionPatient", 3)
    spacing = group.reader("PixelMeasuresSequence", notes).numbers("PixelSpacing", 2)
    transform = group.reader("PixelValueTransformationSequence", notes)
    slope, intercept = transform.number("RescaleSlope"), transform.number("RescaleIntercept")
    image_type = read.texts("ImageType")
    frame_type = group.item("CTImageFrameTypeSequence")
    if frame_type is not None:
        image_type += Reader(frame_type, notes).texts("FrameType")
    if "LOCALIZER" not in image_type:
        if slope is None or intercept is None or slope == 0:
            raise GeometryError("no Rescale Slope and Intercept: the values are not Hounsfield units")
        if (unit := transform.text("RescaleType").upper()) not in _HOUNSFIELD:
            raise GeometryError(f"Hounsfield units expected, Rescale Type {unit[:16]} came")
    return Slice(
        source=source,
        frame=number,
        sop_instance_uid=read.text("SOPInstanceUID"),
        study_instance_uid=read.text("StudyInstanceUID"),
        series_instance_uid=read.text("SeriesInstanceUID"),
        patient_id=read.text("PatientID"),
        issuer_of_patient_id=read.text("IssuerOfPatientID"),
        accession_number=read.text("AccessionNumber"),
        frame_of_reference_uid=read.text("FrameOfReferenceUID"),
        image_type=tuple(part.upper() for part in image_type),
        rows=source.spec.rows,
        columns=source.spec.columns,
        orientation=cast(Orientation, orientation or (0.0,) * 6),
        position=cast(Lps, position or (0.0,) * 3),
        pixel_spacing_mm=cast(tuple[float, float], spacing or (0.0, 0.0)),
        placed=orientation is not None and position is not None and spacing is not None,
        slope=slope if slope is not None else 1.0,
        intercept=intercept if intercept is not None else 0.0,
        lossy=read.text("LossyImageCompression") == "01",
    )
