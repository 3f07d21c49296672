"""Encapsulation of a camera's JPEG as a DICOM photograph, with the bitstream unchanged (PS3.5 A.4.1; PS3.3 A.32.4, A.32.11)."""

from typing import Literal
from uuid import NAMESPACE_OID, uuid5

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit

from core.errors import PixelError
from core.uids import IMPLEMENTATION_CLASS_UID
from imaging.headers.identity import Identity
from imaging.photograph.body_sites import site_code
from imaging.pixels.codestream import Codestream, read_codestream

PhotographKind = Literal["dermoscopy", "vl"]

DERMOSCOPIC_PHOTOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.7"
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"


def jpeg_to_dicom(
    jpeg: bytes,
    *,
    identity: Identity,
    series_instance_uid: str,
    sop_instance_uid: str,
    kind: PhotographKind = "dermoscopy",
    series_number: int = 1,
    instance_number: int = 1,
    site: str = "",
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
        HAM10000 localization word, written as Anatomic Region Sequence; "" for unknown.
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
    if stream is None or jpeg[:2] != b"\xff\xd8" or not _is_baseline(jpeg) or stream.precision != 8:
        raise PixelError("a baseline JPEG is expected", hint="save it as baseline (not progressive, not arithmetic) JPEG")
    if stream.samples != 3:
        raise PixelError(f"a colour JPEG is expected, one with {stream.samples} component(s) came")
    sop_class = DERMOSCOPIC_PHOTOGRAPHY if kind == "dermoscopy" else VL_PHOTOGRAPHIC
    ds = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=_file_meta(sop_class, sop_instance_uid))
    identity.write(ds)
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, sop_instance_uid
    ds.Modality = "DMS" if kind == "dermoscopy" else "XC"
    ds.SeriesInstanceUID, ds.SeriesNumber, ds.InstanceNumber = series_instance_uid, series_number, instance_number
    ds.Manufacturer, ds.ManufacturerModelName = "dicom-node camera", "jpeg_to_dicom"
    ds.DeviceSerialNumber, ds.SoftwareVersions = "0", "1"
    ds.ContentDate = content_date or identity.study_date
    ds.ContentTime = content_time or identity.study_time
    ds.AcquisitionDateTime = ds.ContentDate + ds.ContentTime
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.Laterality = ds.PatientOrientation = ""  # type 2C, unknown of a photograph
    ds.AcquisitionContextSequence = []
    _add_site(ds, site)
    _add_pixels(ds, jpeg, stream)
    if kind == "dermoscopy":
        ds.FrameOfReferenceUID = frame_of_reference_uid or _derive_frame_of_reference(series_instance_uid)
        ds.PositionReferenceIndicator = ""
        _add_dermoscopic(ds)
    return ds


def _file_meta(sop_class_uid: str, sop_instance_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = JPEGBaseline8Bit
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    return meta


def _is_baseline(jpeg: bytes) -> bool:
    """Whether the first frame header is SOF0."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        marker = jpeg[at + 1]
        if marker == 0xC0:
            return True
        if 0xC1 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return False
        at += 1 if marker == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return False


def _derive_frame_of_reference(uid: str) -> str:
    """The Frame of Reference UID of the series with this UID; always the same."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{uid}/frame-of-reference').int}"


def _add_site(ds: Dataset, site: str) -> None:
    code = site_code(site)
    if code is None:
        return
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    ds.AnatomicRegionSequence = [item]


def _add_pixels(ds: Dataset, jpeg: bytes, stream: Codestream) -> None:
    """Image Pixel module; a JPEG with chroma is YBR_FULL_422 whatever its subsampling (PS3.5 8.2.1)."""
    rgb = stream.adobe_transform == 0 or stream.components == (82, 71, 66)
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "RGB" if rgb else "YBR_FULL_422"
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


def _add_dermoscopic(ds: Dataset) -> None:
    """Dermoscopic Image Module (PS3.3 C.8.12.13): what a JPEG does not tell stays empty (type 2)."""
    ds.RecognizableVisualFeatures = "NO"
    ds.LightSourcePolarization = None
    ds.EmitterColorTemperature = None
    ds.ContactMethod = None
    ds.OpticalMagnificationFactor = None
