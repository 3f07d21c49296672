"""Reading of instance headers. Pixel data are never read into memory here.

What is wrong and can be read all the same is listed in ``InstanceHeader.tolerated``; what cannot be read raises `CannotUnderstand`.
"""

import io
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

from pydicom.dataset import Dataset
from pydicom.uid import UID

from core.errors import CannotUnderstand
from core.records import InstanceHeader, Lps
from imaging.headers.fast_header import read_plain_header
from imaging.headers.own_objects import made_by_dicom_node
from imaging.headers.shared_groups import flatten_shared_groups
from imaging.wire.notes import add_note, warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_values import MAX_UID, TolerantReader, clean_text
from imaging.wire.transfer_syntaxes import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN

BEGINNING_BYTES = 64 << 10  # of a plain file: all elements in front of the pixel data are in there

_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def read_header(source: Path | str | BinaryIO | bytes, *, beginning: bytes = b"", size_bytes: int = 0) -> InstanceHeader:
    """The header of one instance. A plain and well-formed file is read without pydicom (`imaging.headers.fast_header`).

    Parameters
    ----------
    source
        A path, a seekable binary stream at its start, or the content of the file.
    beginning, size_bytes
        The first 64 KiB of the file at ``source``, or all of it, and its length, if the caller has them. A plain file is then not opened.

    Raises
    ------
    CannotUnderstand
        The source is not a DICOM data set, or one of the SOP class, SOP instance, study and series UIDs is missing
        (type 1 in every storage SOP class, PS3.3 C.12.1, C.7.2.1, C.7.3.1).
    """
    if beginning:
        plain = read_plain_header(beginning, size_bytes)
    else:
        plain = _read_plain_header_of(source) if isinstance(source, Path | str | bytes) else None
    if plain is not None:
        return plain
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    elif isinstance(source, str):
        source = Path(source)
    return read_header_tolerantly(source)


def read_header_tolerantly(source: Path | BinaryIO) -> InstanceHeader:
    """As `read_header`, with pydicom, of any file that can be parsed."""
    notes: list[str] = []
    dataset, _ = read_with_pixel_location(source, notes=notes)
    return header_of(dataset, notes)


def header_of(dataset: Dataset, notes: list[str]) -> InstanceHeader:
    """The header of a data set that was read tolerantly. ``notes``: what was wrong with it so far; more is appended.

    Raises
    ------
    CannotUnderstand
        As `read_header`.
    """
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        header = _read_header(dataset, notes)
    return replace(header, tolerated=tuple(notes))  # only now: warnings become notes at the end of the block above


def _read_plain_header_of(source: Path | str | bytes) -> InstanceHeader | None:
    if isinstance(source, bytes):
        return read_plain_header(source)
    with open(source, "rb", buffering=0) as file:
        return read_plain_header(file.read(BEGINNING_BYTES), os.fstat(file.fileno()).st_size)


def _read_header(dataset: Dataset, notes: list[str]) -> InstanceHeader:
    read = TolerantReader(dataset, notes)
    uids = {keyword: read.text(keyword) for keyword in _REQUIRED}
    missing = [keyword for keyword, uid in uids.items() if not uid]
    if missing:
        raise CannotUnderstand(f"{', '.join(missing)} missing or empty", hint="the instance cannot be identified; repair it at its source")
    if any(len(uid) > MAX_UID for uid in uids.values()):
        raise CannotUnderstand(f"a UID is longer than {MAX_UID} characters", hint="64 are allowed (PS3.5 9.1)")
    if any("\\" in uid for uid in uids.values()):
        raise CannotUnderstand("a UID has several values", hint="the instance cannot be identified; repair it at its source")
    if any(not UID(uid).is_valid for uid in uids.values()):
        add_note(notes, "a UID is not formed as PS3.5 9.1 says")
    shared = _shared_groups_reader(dataset, notes)
    return InstanceHeader(
        sop_class_uid=uids["SOPClassUID"],
        sop_instance_uid=uids["SOPInstanceUID"],
        study_instance_uid=uids["StudyInstanceUID"],
        series_instance_uid=uids["SeriesInstanceUID"],
        transfer_syntax_uid=_read_transfer_syntax(dataset, uids["SOPInstanceUID"], notes),
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
        position=cast(Lps | None, read.numbers("ImagePositionPatient", 3) or _position_of_only_frame(read, shared)),
        pixel_spacing_mm=cast(
            tuple[float, float] | None, read.numbers("PixelSpacing", 2) or (shared and shared.numbers("PixelSpacing", 2))
        ),
        slice_thickness_mm=_first_present(read.number("SliceThickness"), shared.number("SliceThickness") if shared else None),
        convolution_kernel=read.text("ConvolutionKernel") or (shared.text("ConvolutionKernel") if shared else ""),
        rows=read.integer("Rows", low=1),
        columns=read.integer("Columns", low=1),
        number_of_frames=read.integer("NumberOfFrames", low=1) or 1,
        series_related_instances=read.integer("NumberOfSeriesRelatedInstances", low=0),
        timezone_offset=read.text("TimezoneOffsetFromUTC"),
        character_set=read.texts("SpecificCharacterSet"),
        made_by_dicom_node=made_by_dicom_node(dataset),
    )


def _position_of_only_frame(read: TolerantReader, shared: TolerantReader | None) -> tuple[float, ...] | None:
    """Image Position (Patient) in the functional groups of an enhanced image with one frame, as some devices send each slice."""
    if shared is None or (read.integer("NumberOfFrames", low=1) or 1) > 1:
        return None
    return shared.numbers("ImagePositionPatient", 3)


def _first_present(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _read_transfer_syntax(dataset: Dataset, sop_instance_uid: str, notes: list[str]) -> str:
    meta = getattr(dataset, "file_meta", None) or Dataset()
    named = clean_text(str(meta.get("MediaStorageSOPInstanceUID", "") or ""), notes, "MediaStorageSOPInstanceUID")
    if named and named != sop_instance_uid:
        add_note(notes, "file meta information and data set name different SOP instances")
    syntax = clean_text(str(meta.get("TransferSyntaxUID", "") or ""), notes, "TransferSyntaxUID")
    if syntax:
        return syntax[:MAX_UID]
    add_note(notes, "no transfer syntax in the file meta information: guessed from the first element")
    implicit, little = dataset.original_encoding
    return IMPLICIT_VR_LITTLE_ENDIAN if implicit else EXPLICIT_VR_LITTLE_ENDIAN if little else EXPLICIT_VR_BIG_ENDIAN


def _shared_groups_reader(dataset: Dataset, notes: list[str]) -> TolerantReader | None:
    if "SharedFunctionalGroupsSequence" not in dataset and "PerFrameFunctionalGroupsSequence" not in dataset:
        return None
    return TolerantReader(flatten_shared_groups(dataset), notes)
