"""A camera's image file as a DICOM photograph: JPEG as it is where possible, everything else without loss. Metadata are removed."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from core.errors import PixelError
from imaging.headers.identity import Identity
from imaging.photograph.encapsulate import is_baseline, jpeg_to_dicom
from imaging.photograph.file_kind import HEAD_BYTES, FileKind, kind_of
from imaging.photograph.header import PhotographKind, new_photograph
from imaging.photograph.jpeg_metadata import read_orientation, remove_metadata
from imaging.photograph.read import read_photograph
from imaging.photograph.skin_regions import SkinRegion
from imaging.pixels.codestream import read_codestream
from imaging.wire.notes import warnings_as_notes

MAX_FILE_BYTES = 16 << 20
MAX_DECODED_BYTES = 256 << 20  # 64 million pixels of four bytes; at three bytes each the DICOM file stays below 200 MB


@dataclass(frozen=True, slots=True)
class PhotographPlace:
    """Where a new photograph belongs: its patient, study, series and UID, and the region of the skin where that is known."""

    identity: Identity
    series_instance_uid: str
    sop_instance_uid: str
    kind: PhotographKind = "dermoscopy"
    instance_number: int = 1
    region: SkinRegion | None = None


def photograph_from_file(path: Path, place: PhotographPlace) -> FileDataset:
    """Make a DICOM photograph of a JPEG, PNG or TIFF file.

    The bitstream of a baseline colour JPEG that stands upright goes into the file unchanged, without EXIF, XMP, IPTC and comments. Every
    other image is decoded, turned upright, converted to sRGB and stored without compression, so that nothing is lost.

    Raises
    ------
    PixelError
        The file is larger than 16 MiB, damaged, grey, or has more than 64 million pixels.
    """
    size = path.stat().st_size
    if size > MAX_FILE_BYTES:
        raise PixelError(f"the photograph has {size / (1 << 20):.1f} MB, and at most {MAX_FILE_BYTES >> 20} MB are allowed")
    content = path.read_bytes()
    kind = kind_of(content[:HEAD_BYTES])
    if not kind.is_image:
        raise PixelError("a JPEG, PNG or TIFF file is expected")
    values = {
        "identity": place.identity,
        "series_instance_uid": place.series_instance_uid,
        "sop_instance_uid": place.sop_instance_uid,
        "kind": place.kind,
        "instance_number": place.instance_number,
        "site": place.region or "",
    }
    if kind is FileKind.JPEG and _can_be_kept(content):
        profile = _check_decodes(path)
        ds = jpeg_to_dicom(remove_metadata(content), **values)  # type: ignore[arg-type]
        if profile is not None:
            ds.ICCProfile = profile  # PS3.3 C.11.15
        return ds
    rgb = read_photograph(path, max_bytes=MAX_DECODED_BYTES).rgb
    ds = new_photograph(
        ExplicitVRLittleEndian, series_number=1, frame_of_reference_uid="", content_date="", content_time="", **values  # type: ignore[arg-type]
    )  # fmt: skip
    _add_pixels(ds, rgb)
    if kind is FileKind.JPEG:
        ds.LossyImageCompression, ds.LossyImageCompressionMethod = "01", "ISO_10918_1"
        ds.LossyImageCompressionRatio = f"{max(1.0, rgb.nbytes / size):.2f}"
    return ds


def _can_be_kept(jpeg: bytes) -> bool:
    """Whether a JPEG may go into a DICOM file as it is: baseline, 8 bits, three components, upright."""
    stream = read_codestream(jpeg)
    plain = is_baseline(jpeg) and stream is not None and stream.samples == 3 and stream.precision == 8
    return plain and read_orientation(jpeg) == 1


def _check_decodes(path: Path) -> bytes | None:
    """Decode the image once, so that a damaged one is refused here; return its ICC profile."""
    try:
        with warnings_as_notes([]), Image.open(path) as image:
            if image.width * image.height * 4 > MAX_DECODED_BYTES:
                raise PixelError(f"{image.width} x {image.height} pixels are more than allowed")
            image.load()
            return cast(bytes | None, image.info.get("icc_profile"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PixelError("the image is damaged or cut short") from error


def _add_pixels(ds: FileDataset, rgb: NDArray[np.uint8]) -> None:
    """Image Pixel module of an uncompressed image (PS3.3 C.7.6.3). ``rgb``: (Y, X, 3) uint8, sRGB."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = int(rgb.shape[0]), int(rgb.shape[1])
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    pixels = np.ascontiguousarray(rgb).tobytes()
    ds.PixelData = pixels + b"\0" * (len(pixels) % 2)
    ds["PixelData"].VR = "OB"
