"""Headers, read tolerantly. Pixel data are never read into memory here.

What is wrong and can be read all the same goes into ``InstanceHeader.tolerated``; what cannot be read raises
`CannotUnderstand`, and nothing else does.
"""

import io
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from core.errors import CannotUnderstand
from core.records import InstanceHeader, Lps
from imaging.headers.own_marks import made_by_dicom_node
from imaging.wire.fast_header import quick_header
from imaging.wire.tolerant_parser import locate, read_dataset, understanding
from imaging.wire.tolerant_values import MAX_UID, Reader, clean, note, tolerating

__all__ = ["RouteValue", "locate", "read_dataset", "read_header", "routable"]

BEGINNING_BYTES = 64 << 10  # of a plain file: everything before the pixel data is there

RouteValue = str | float | tuple[str, ...] | tuple[float, ...]

_NUMBER_VRS = frozenset({"DS", "IS", "FL", "FD", "SL", "SS", "UL", "US", "SV", "UV"})
_OPAQUE_VRS = frozenset({"SQ", "OB", "OW", "OF", "OD", "OL", "OV", "UN", "OB or OW", "AT"})
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_FLATTENED = {
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PlanePositionSequence": ("ImagePositionPatient",),
    "CTReconstructionSequence": ("ConvolutionKernel",),
    "FrameAnatomySequence": ("FrameLaterality",),
}


def read_header(source: Path | BinaryIO | bytes, *, beginning: bytes = b"", size_bytes: int = 0) -> InstanceHeader:
    """The header of one instance, without its pixel data. A plain and well-formed file takes a tenth of the time.

    Parameters
    ----------
    beginning, size_bytes
        Of the file at ``source``, where the caller has them: its first 64 KiB, or all of it, and its length. A plain file is not opened.

    Raises
    ------
    CannotUnderstand
        It is no DICOM data set, or one of the SOP class, SOP instance, study and series UIDs is missing
        (type 1 in every storage SOP class, PS3.3 C.12.1, C.7.2.1, C.7.3.1).
    """
    quick = quick_header(beginning, size_bytes) if beginning else _quickly(source) if isinstance(source, Path | bytes) else None
    if quick is not None:
        return quick
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    notes: list[str] = []
    dataset, _ = locate(source, notes=notes)
    with understanding("a header that cannot be read"), tolerating(notes):
        header = _header_of(dataset, notes)
    return replace(header, tolerated=tuple(notes))  # what pydicom warned of is there only now


def _quickly(source: Path | bytes) -> InstanceHeader | None:
    if isinstance(source, bytes):
        return quick_header(source)
    with open(source, "rb", buffering=0) as file:
        return quick_header(file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size)


def _header_of(dataset: Dataset, notes: list[str]) -> InstanceHeader:
    read = Reader(dataset, notes)
    uids = {keyword: read.text(keyword) for keyword in _REQUIRED}
    missing = [keyword for keyword, uid in uids.items() if not uid]
    if missing:
        raise CannotUnderstand(f"{', '.join(missing)} missing or empty", hint="the instance has no identity; repair it at its source")
    if any(len(uid) > MAX_UID for uid in uids.values()):
        raise CannotUnderstand(f"a UID is longer than {MAX_UID} characters", hint="64 are allowed (PS3.5 9.1)")
    if any("\\" in uid for uid in uids.values()):
        raise CannotUnderstand("a UID has several values", hint="the instance has no identity; repair it at its source")
    if any(not UID(uid).is_valid for uid in uids.values()):
        note(notes, "a UID is not formed as PS3.5 9.1 says")
    shared = _shared_reader(dataset, notes)
    return InstanceHeader(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=_transfer_syntax(dataset, uids["SOPInstanceUID"], notes),
        patient_id=read.text("PatientID"),
        issuer_of_patient_id=read.text("IssuerOfPatientID"),
        patient_name=read.text("PatientName"),
        patient_birth_date=read.text("PatientBirthDate"),
        patient_sex=read.text("PatientSex"),
        accession_number=read.text("AccessionNumber"),
        study_id=read.text("StudyID"),
        study_date=read.text("StudyDate"),
        study_time=read.text("StudyTime"),
        study_description=read.text("StudyDescription"),
        series_description=read.text("SeriesDescription"),
        series_number=read.integer("SeriesNumber"),
        modality=read.text("Modality"),
        body_part_examined=read.text("BodyPartExamined"),
        image_type=read.texts("ImageType"),
        frame_of_reference_uid=read.text("FrameOfReferenceUID")[:MAX_UID],
        instance_number=read.integer("InstanceNumber"),
        orientation=cast(
            tuple[float, float, float, float, float, float] | None,
            read.numbers("ImageOrientationPatient", 6) or (shared and shared.numbers("ImageOrientationPatient", 6)),
        ),
        position=cast(Lps | None, read.numbers("ImagePositionPatient", 3)),
        pixel_spacing_mm=cast(
            tuple[float, float] | None, read.numbers("PixelSpacing", 2) or (shared and shared.numbers("PixelSpacing", 2))
        ),
        slice_thickness_mm=_first(read.number("SliceThickness"), shared.number("SliceThickness") if shared else None),
        convolution_kernel=read.text("ConvolutionKernel") or (shared.text("ConvolutionKernel") if shared else ""),
        rows=read.integer("Rows", low=1),
        columns=read.integer("Columns", low=1),
        number_of_frames=read.integer("NumberOfFrames", low=1) or 1,
        series_related_instances=read.integer("NumberOfSeriesRelatedInstances", low=0),
        timezone_offset=read.text("TimezoneOffsetFromUTC"),
        character_set=read.texts("SpecificCharacterSet"),
        made_by_dicom_node=made_by_dicom_node(dataset),
    )


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _transfer_syntax(dataset: Dataset, sop_instance_uid: str, notes: list[str]) -> str:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    named = clean(str(meta.get("MediaStorageSOPInstanceUID", "") or ""), notes, "MediaStorageSOPInstanceUID")
    if named and named != sop_instance_uid:
        note(notes, "file meta information and data set name different SOP instances")
    syntax = clean(str(meta.get("TransferSyntaxUID", "") or ""), notes, "TransferSyntaxUID")
    if syntax:
        return syntax[:MAX_UID]
    note(notes, "no transfer syntax in the file meta information: guessed from the first element")
    implicit, little = dataset.original_encoding
    return "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"


def _shared(dataset: Dataset) -> Dataset:
    """The shared functional groups of a multi-frame image as one flat data set (PS3.3 C.7.6.16); empty if there are none."""
    flat = Dataset()
    groups = dataset.get("SharedFunctionalGroupsSequence")
    if groups is None or len(groups) == 0:
        return flat
    for macro, keywords in _FLATTENED.items():
        items = groups[0].get(macro)
        if items is None or len(items) == 0:
            continue
        for keyword in keywords:
            if keyword in items[0]:
                flat[keyword] = items[0][keyword]
    return flat


def _shared_reader(dataset: Dataset, notes: list[str]) -> Reader | None:
    if "SharedFunctionalGroupsSequence" not in dataset:
        return None
    return Reader(_shared(dataset), notes)


def routable(ds: Dataset) -> dict[str, RouteValue]:
    """Every plain element by its DICOM keyword: what route conditions may ask for.

    Numbers are float, several values a tuple, text is clean str; sequences, binary and private elements are left
    out, as is what cannot be read. Slice thickness, spacing and orientation of a multi-frame image's shared
    functional groups appear as if they stood in the data set itself.
    """
    notes: list[str] = []
    found: dict[str, RouteValue] = {}
    with understanding("a header that cannot be read"), tolerating(notes):
        for source in (_shared(ds), ds):
            for tag in list(source.keys()):
                if tag.is_private or tag.group in (0x0002, 0x7FE0):
                    continue
                pair = _plain(source, tag, notes)
                if pair is not None:
                    found[pair[0]] = pair[1]
    return found


def _plain(dataset: Dataset, tag: BaseTag, notes: list[str]) -> tuple[str, RouteValue] | None:
    raw = dataset.get_item(tag)
    if raw is None or raw.VR in _OPAQUE_VRS or (raw.VR is not None and raw.value is None):
        return None
    try:
        element = dataset[tag]
        keyword, vr, value = element.keyword, element.VR, element.value
        if not keyword or vr in _OPAQUE_VRS or value is None or value == "" or isinstance(value, bytes):
            return None
        parts = [value] if isinstance(value, str) or not hasattr(value, "__iter__") or vr == "PN" else list(value)
        if not parts:
            return None
        if vr in _NUMBER_VRS:
            numbers = tuple(float(str(part)) for part in parts)
            if not all(math.isfinite(number) for number in numbers):
                return None
            return keyword, numbers[0] if len(numbers) == 1 else numbers
        texts = tuple(clean(str(part), notes, keyword) for part in parts)
        return keyword, texts[0] if len(texts) == 1 else texts
    except (RecursionError, MemoryError):
        raise
    except Exception:  # pydicom has many ways to fail on a broken value
        return None  # an unreadable element matches no condition
