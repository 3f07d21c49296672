"""Encapsulation of a camera's JPEG as a DICOM photograph, with the bitstream unchanged (PS3.5 A.4.1; PS3.3 A.32.4, A.32.11)."""

from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from core.counted import counted
from core.errors import PixelError
from imaging.headers.identity import Identity
from imaging.photograph.header import PhotographKind, new_photograph
from imaging.photograph.skin_regions import SkinRegion
from imaging.pixels.codestream import Codestream, read_codestream


def jpeg_to_dicom(
    jpeg: bytes,
    *,
    identity: Identity,
    series_instance_uid: str,
    sop_instance_uid: str,
    kind: PhotographKind = "dermoscopy",
    series_number: int = 1,
    instance_number: int = 1,
    site: str | SkinRegion = "",
    frame_of_reference_uid: str = "",
    content_date: str = "",
    content_time: str = "",
) -> FileDataset:
    """Wrap a baseline JPEG as Dermoscopic Photography or VL Photographic Image.

    Parameters
    ----------
    jpeg
        A baseline (SOF0) colour JPEG; its bytes go into the pixel data unchanged.
    site
        Region of the skin, or a HAM10000 localization word, written as Anatomic Region Sequence; "" for unknown.
    frame_of_reference_uid
        Only dermoscopic images have one; by default derived from the series UID, one per series.
    content_date, content_time
        When the photograph was taken; by default the study's.

    Raises
    ------
    PixelError
        Not a baseline colour JPEG. It is refused because re-encoding would change the image.
    """
    stream = read_codestream(jpeg)
    if stream is None or not is_baseline(jpeg) or stream.precision != 8:
        raise PixelError("a baseline JPEG is expected", hint="save it as baseline (not progressive, not arithmetic) JPEG")
    if stream.samples != 3:
        raise PixelError(f"a colour JPEG is expected, one with {counted(stream.samples, 'component')} came")
    ds = new_photograph(
        JPEGBaseline8Bit,
        identity=identity,
        series_instance_uid=series_instance_uid,
        sop_instance_uid=sop_instance_uid,
        kind=kind,
        series_number=series_number,
        instance_number=instance_number,
        site=site,
        frame_of_reference_uid=frame_of_reference_uid,
        content_date=content_date,
        content_time=content_time,
    )
    _add_pixels(ds, jpeg, stream)
    return ds


def is_baseline(jpeg: bytes) -> bool:
    """Whether this is a JPEG whose first frame header is SOF0."""
    if jpeg[:2] != b"\xff\xd8":
        return False
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xC0:
            return True
        if 0xC1 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return False
        at += 1 if marker == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return False


def _add_pixels(ds: Dataset, jpeg: bytes, stream: Codestream) -> None:
    """Image Pixel module; a JPEG with chroma is YBR_FULL_422 whatever its subsampling (PS3.5 8.2.1)."""
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB" if stream.is_ycbcr is False else "YBR_FULL_422"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = stream.rows, stream.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "01"
    ds.LossyImageCompressionMethod = "ISO_10918_1"
    ds.LossyImageCompressionRatio = f"{max(1.0, stream.rows * stream.columns * 3 / len(jpeg)):.2f}"
    ds.PixelData = encapsulate([jpeg])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
