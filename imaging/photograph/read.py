"""Reading of photographs and other single images as sRGB: DICOM in any colour space or in grey, or JPEG, PNG and TIFF files."""

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
from imaging.photograph.body_sites import read_body_site
from imaging.pixels.codestream import Codestream, read_codestream
from imaging.pixels.colour import COLOUR_ONLY, apply_icc, to_rgb
from imaging.pixels.decode import iter_frames
from imaging.pixels.grey import to_grey_rgb
from imaging.pixels.grey_attributes import grey_attributes
from imaging.pixels.pixel_spec import MAX_DECODED_BYTES, PixelSpec, pixel_data, pixel_spec
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_with_pixel_location, translate_parse_errors
from imaging.wire.tolerant_values import TolerantReader
from imaging.wire.transfer_syntaxes import NATIVE

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")
_DAYS_PER_UNIT = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph, with the patient attributes that models use.

    Attributes
    ----------
    rgb
        (Y, X, 3) uint8, sRGB.
    sop_instance_uid
        "" for a plain image file.
    age_years, sex, site
        None or "" if unknown; sex "M" or "F"; site a HAM10000 localization word.
    pixel_spacing_mm
        (row, column) distance; None if the header has none.
    notes
        What was wrong and tolerated, in words.
    """

    rgb: NDArray[np.uint8]
    sop_instance_uid: str
    age_years: float | None
    sex: str
    site: str
    pixel_spacing_mm: tuple[float, float] | None
    notes: tuple[str, ...]


def read_photograph(path: Path, *, grey: bool = False, max_bytes: int = MAX_DECODED_BYTES) -> Photograph:
    """Read a colour photograph. With ``grey`` an image without colour is accepted too, as three equal channels.

    Of files other than DICOM grey ones must have 8 bits. Of DICOM the grey values are those that the window of the frame shows.

    Raises
    ------
    PixelError
        Not a colour image, or pixel data that cannot be decoded or would take more than ``max_bytes``.
    CannotUnderstand
        Neither DICOM nor JPEG, PNG or TIFF.
    """
    with path.open("rb") as stream:
        head = stream.read(132)
    if head[128:132] != b"DICM" and head.startswith(_MAGIC):
        return _read_image_file(path, max_bytes, grey)
    return _read_dicom(path, max_bytes, grey)


def _read_image_file(path: Path, max_bytes: int, grey: bool) -> Photograph:
    notes: list[str] = []
    try:
        # Pillow warns of broken tags, and of large images, whose size is checked here.
        with warnings_as_notes([]), Image.open(path) as image:
            if image.width * image.height * 4 > max_bytes:
                raise PixelError(f"{image.width} x {image.height} pixels are more than allowed")
            if image.mode in ("1", "I", "F", "I;16") or (image.mode in ("L", "LA") and not grey):
                raise PixelError("a colour image is expected, a grey one came", hint=COLOUR_ONLY)
            profile = cast(bytes | None, image.info.get("icc_profile"))
            rgb = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PixelError(f"the image file cannot be decoded: {type(error).__name__}", hint="it is damaged or cut short") from error
    if profile:
        rgb = apply_icc(rgb, profile, notes)
    return Photograph(rgb, "", None, "", "", None, tuple(notes))


def _read_dicom(path: Path, max_bytes: int, grey: bool) -> Photograph:
    notes: list[str] = []
    dataset, _ = read_with_pixel_location(path, pixels=True, notes=notes)
    data = pixel_data(dataset)
    spec = pixel_spec(dataset, max_bytes=max_bytes)
    colour = spec.samples == 3 or spec.photometric == "PALETTE COLOR"
    if not colour and not grey:
        raise PixelError(f"a colour image is expected, {spec.photometric[:16]} came", hint=COLOUR_ONLY)
    if spec.frames > 1:
        notes.append(f"the first of {spec.frames} frames was used")
    frame = next(iter_frames(spec, data))
    with translate_parse_errors("a header that cannot be read"), warnings_as_notes(notes):
        if colour:
            rgb = to_rgb(dataset, spec, frame, _read_codestream(spec, data), notes)
        else:
            rgb = to_grey_rgb(grey_attributes(dataset, 1)[0], spec, frame, notes)
        profile = _icc_profile(dataset) if colour else None
        if profile:
            rgb = apply_icc(rgb, profile, notes)
        read = TolerantReader(dataset, notes)
        sex = read.text("PatientSex").upper()
        spacing = _pixel_spacing(read, notes)
        uid, age, site = read.text("SOPInstanceUID"), _age_years(read), read_body_site(dataset)
    return Photograph(
        rgb=rgb,
        sop_instance_uid=uid,
        age_years=age,
        sex=sex if sex in ("M", "F") else "",
        site=site,
        pixel_spacing_mm=spacing,
        notes=tuple(notes),
    )


def _read_codestream(spec: PixelSpec, data: bytes) -> Codestream | None:
    if spec.transfer_syntax_uid in NATIVE:
        return None
    return read_codestream(next(generate_frames(data, number_of_frames=spec.frames, extended_offsets=spec.extended_offsets)))


def _icc_profile(dataset: Dataset) -> bytes | None:
    """The ICC profile of the image or of its first optical path."""
    places = [dataset, *(dataset.get("OpticalPathSequence") or [])[:1]]
    return next((bytes(place.ICCProfile) for place in places if place.get("ICCProfile")), None)


def _pixel_spacing(read: TolerantReader, notes: list[str]) -> tuple[float, float] | None:
    """Pixel Spacing in mm; a device that does not know it may write zeros, by which every area would be 0 mm2."""
    found = read.numbers("PixelSpacing", 2)
    if found is None:
        return None
    if min(found) <= 0:
        notes.append("Pixel Spacing is not above zero: sizes are given in pixels")
        return None
    return found[0], found[1]


def _age_years(read: TolerantReader) -> float | None:
    """Years from Patient's Age (VR AS, PS3.5 6.2), else from the birth date on the study date."""
    text = read.text("PatientAge")
    if len(text) == 4 and text[:3].isdigit() and text[3] in _DAYS_PER_UNIT:
        return int(text[:3]) * _DAYS_PER_UNIT[text[3]] / _DAYS_PER_UNIT["Y"]
    try:
        born, taken = (date.fromisoformat(read.text(keyword)[:8]) for keyword in ("PatientBirthDate", "StudyDate"))
    except ValueError:
        return None
    return (taken - born).days / _DAYS_PER_UNIT["Y"] if taken >= born else None
