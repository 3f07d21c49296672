"""Photographs of skin to sRGB: DICOM in any colour space, or plain JPEG, PNG and TIFF files."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames

from core.errors import PixelError
from imaging.photograph.body_sites import site_of
from imaging.photograph.encapsulate import jpeg_to_dicom
from imaging.pixels.codestream import Codestream, inspect
from imaging.pixels.colour import apply_icc, to_rgb
from imaging.pixels.decode import MAX_DECODED_BYTES, NATIVE, PixelSpec, iter_frames, pixel_data, pixel_spec
from imaging.wire.tolerant_parser import locate, understanding
from imaging.wire.tolerant_values import Reader, tolerating

__all__ = ["Photograph", "jpeg_to_dicom", "read_photograph"]

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph and what its header says of the patient.

    Attributes
    ----------
    rgb
        (Y, X, 3) uint8, sRGB.
    sop_instance_uid
        "" for a plain image file.
    age_years, sex, site
        None or "" where unknown; sex "M" or "F"; site a HAM10000 localization word.
    pixel_spacing_mm
        (row, column) distance, where the header has one.
    notes
        What was tolerated, in words.
    """

    rgb: NDArray[np.uint8]
    sop_instance_uid: str
    age_years: float | None
    sex: str
    site: str
    pixel_spacing_mm: tuple[float, float] | None
    notes: tuple[str, ...]


def read_photograph(path: Path, *, grey: bool = False, max_bytes: int = MAX_DECODED_BYTES) -> Photograph:
    """Read a colour photograph; with ``grey`` also a JPEG, PNG or TIFF file of 8-bit grey, its three channels alike.

    Raises
    ------
    PixelError
        No colour image, or pixel data that cannot be decoded or would take more than ``max_bytes``.
    CannotUnderstand
        Neither DICOM nor JPEG, PNG or TIFF.
    """
    with path.open("rb") as stream:
        head = stream.read(132)
    if head[128:132] != b"DICM" and head.startswith(_MAGIC):
        return _read_plain(path, max_bytes, grey)
    return _read_dicom(path, max_bytes)


def _read_plain(path: Path, max_bytes: int, grey: bool) -> Photograph:
    notes: list[str] = []
    try:
        with tolerating([]), Image.open(path) as image:  # Pillow warns of large images and broken tags; the size is checked here
            if image.width * image.height * 4 > max_bytes:
                raise PixelError(f"{image.width} x {image.height} pixels are more than allowed")
            if image.mode in ("1", "I", "F", "I;16") or (image.mode in ("L", "LA") and not grey):
                raise PixelError("a colour image is expected, a grey one came", hint="only photographs in colour are analysed")
            profile = cast(bytes | None, image.info.get("icc_profile"))
            rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PixelError(f"the image file cannot be decoded: {type(error).__name__}", hint="it is damaged or cut short") from error
    if profile:
        rgb = apply_icc(rgb, profile, notes)
    return Photograph(rgb, "", None, "", "", None, tuple(notes))


def _read_dicom(path: Path, max_bytes: int) -> Photograph:
    notes: list[str] = []
    dataset, _ = locate(path, pixels=True, notes=notes)
    data = pixel_data(dataset)
    spec = pixel_spec(dataset, max_bytes=max_bytes)
    if spec.samples != 3 and spec.photometric != "PALETTE COLOR":
        raise PixelError(f"a colour image is expected, {spec.photometric[:16]} came", hint="only photographs in colour are analysed")
    if spec.frames > 1:
        notes.append(f"the first of {spec.frames} frames was taken")
    frame = next(iter_frames(spec, data))
    with understanding("a header that cannot be read"), tolerating(notes):
        rgb = to_rgb(dataset, spec, frame, _stream(spec, data), notes)
        profile = _profile(dataset)
        if profile:
            rgb = apply_icc(rgb, profile, notes)
        read = Reader(dataset, notes)
        sex = read.text("PatientSex").upper()
        spacing = read.numbers("PixelSpacing", 2)
        uid, age, site = read.text("SOPInstanceUID"), _age(read), site_of(dataset)
    return Photograph(
        rgb=rgb,
        sop_instance_uid=uid,
        age_years=age,
        sex=sex if sex in ("M", "F") else "",
        site=site,
        pixel_spacing_mm=cast(tuple[float, float] | None, spacing),
        notes=tuple(notes),
    )


def _stream(spec: PixelSpec, data: bytes) -> Codestream | None:
    if spec.transfer_syntax_uid in NATIVE:
        return None
    return inspect(next(generate_frames(data, number_of_frames=spec.frames, extended_offsets=spec.extended_offsets)))


def _profile(dataset: Dataset) -> bytes | None:
    """The ICC profile of the image or of its first optical path."""
    places = [dataset, *(dataset.get("OpticalPathSequence") or [])[:1]]
    return next((bytes(place.ICCProfile) for place in places if place.get("ICCProfile")), None)


def _age(read: Reader) -> float | None:
    """Years from Patient's Age (VR AS, PS3.5 6.2), else from the birth date on the study date."""
    text = read.text("PatientAge")
    if len(text) == 4 and text[:3].isdigit() and text[3] in _DAYS:
        return int(text[:3]) * _DAYS[text[3]] / _DAYS["Y"]
    try:
        born, taken = (date.fromisoformat(read.text(keyword)[:8]) for keyword in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return None
    return (taken - born).days / _DAYS["Y"] if taken >= born else None
