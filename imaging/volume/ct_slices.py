"""The slices of CT files: position, rescaling to Hounsfield units, and access to the pixels.

A classic CT image is one slice; an Enhanced CT image is one slice for each frame (PS3.3 A.38, C.7.6.16).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from core.counted import counted
from core.errors import CannotUnderstand, GeometryError, PixelError
from core.policy.own_objects import is_secondary_capture
from core.policy.slice_coverage import names_localizer
from core.records import Lps
from imaging.frames.concatenation import ConcatenationPart, check_parts, read_part
from imaging.pixels.pixel_spec import pixel_spec
from imaging.volume.fast_slice import HOUNSFIELD_UNITS, read_plain_slice
from imaging.volume.functional_groups import FrameGroups, read_frame_groups
from imaging.volume.pixel_source import PixelSource
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_stream import PixelLocation
from imaging.wire.tolerant_values import TolerantReader

Orientation = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class CtSlice:
    """One plane of a series.

    ``frame`` counts from 1. ``has_geometry`` is False if position, orientation or pixel spacing is missing; they are zero then.
    ``image_type``: Image Type; of an enhanced image with Frame Type and Volume Based Calculation Technique of the frame.
    """

    source: PixelSource
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
    has_geometry: bool
    slope: float
    intercept: float
    lossy: bool

    def stored_values(self) -> NDArray[np.generic]:
        """(Y, X) stored values. Raises `PixelError`."""
        return self.source.frame(self.frame)


def read_slices(paths: Sequence[Path], notes: list[str]) -> list[CtSlice]:
    """The slices of all files, in the order of the files. Screen captures in a CT series are left out, with a note.

    Raises
    ------
    GeometryError
        No file, an instance that is not CT, values that are not Hounsfield units, or a concatenation that is not whole.
    PixelError
        The image pixel module is missing or wrong.
    CannotUnderstand
        A file is not DICOM.
    """
    if not paths:
        raise GeometryError("too few slices: at least 2 expected, 0 came")
    slices: list[CtSlice] = []
    parts: list[ConcatenationPart] = []
    captures = 0
    for path in paths:
        plain = read_plain_slice(path)
        if plain is not None:
            slices.append(CtSlice(source=PixelSource(path, plain.spec, plain.location), frame=1, has_geometry=True, **plain.values))
            continue
        dataset, location = read_with_pixel_location(path)
        if is_secondary_capture(_read_sop_class(dataset)):
            captures += 1
            continue
        slices.extend(_read_slices_of(path, dataset, location))
        if (part := read_part(dataset)) is not None:
            parts.append(part)
    check_parts(parts)
    if captures:
        notes.append(f"{counted(captures, 'screen capture')} dropped")
    return slices


def _read_sop_class(dataset: Dataset) -> str:
    notes: list[str] = []
    with warnings_as_notes(notes):
        return TolerantReader(dataset, notes).text("SOPClassUID")


def _read_slices_of(path: Path, dataset: Dataset, location: PixelLocation | None) -> Iterator[CtSlice]:
    notes: list[str] = []
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        read = TolerantReader(dataset, notes)
        if not read.text("SOPClassUID") or not read.text("SOPInstanceUID"):
            raise CannotUnderstand("a file without SOP Class and SOP Instance UID", hint="give the DICOM files of one series only")
        modality = read.text("Modality")
        if modality != "CT":
            raise GeometryError(f"CT expected, an instance of modality {modality or '(none)'} came")
        if names_localizer(read.texts("ImageType")) and "Rows" not in dataset:
            return
        spec = pixel_spec(dataset, vr=location.vr if location else "")
        if spec.samples != 1:
            raise PixelError(f"1 sample per pixel expected of CT, {spec.samples} came")
        source = PixelSource(path, spec, location)
        for number, groups in enumerate(read_frame_groups(dataset, spec.frames), start=1):
            yield _read_slice(read, groups, source, number, notes)


def _read_slice(read: TolerantReader, groups: FrameGroups, source: PixelSource, number: int, notes: list[str]) -> CtSlice:
    orientation = groups.macro_reader("PlaneOrientationSequence", notes).numbers("ImageOrientationPatient", 6)
    position = groups.macro_reader("PlanePositionSequence", notes).numbers("ImagePositionPatient", 3)
    spacing = groups.macro_reader("PixelMeasuresSequence", notes).numbers("PixelSpacing", 2)
    transform = groups.macro_reader("PixelValueTransformationSequence", notes)
    slope, intercept = transform.number("RescaleSlope"), transform.number("RescaleIntercept")
    image_type = read.texts("ImageType")
    frame_type = groups.macro_item("CTImageFrameTypeSequence")
    if frame_type is not None:
        of_frame = TolerantReader(frame_type, notes)
        image_type += of_frame.texts("FrameType") + of_frame.texts("VolumeBasedCalculationTechnique")
    if not names_localizer(image_type):
        if slope is None or intercept is None or slope == 0:
            raise GeometryError("no Rescale Slope and Intercept: the values are not Hounsfield units")
        if (unit := transform.text("RescaleType").upper()) not in HOUNSFIELD_UNITS:
            raise GeometryError(f"Hounsfield units expected, Rescale Type {unit[:16]} came")
    return CtSlice(
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
        has_geometry=orientation is not None and position is not None and spacing is not None,
        slope=slope if slope is not None else 1.0,
        intercept=intercept if intercept is not None else 0.0,
        lossy=read.text("LossyImageCompression") == "01",
    )
