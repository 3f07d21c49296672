"""The header of a photograph that the node makes from a camera's file (PS3.3 A.32.4, A.32.11): everything but the pixels."""

from typing import Literal
from uuid import NAMESPACE_OID, uuid5

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID

from core.records import Code
from core.uids import IMPLEMENTATION_CLASS_UID
from imaging.headers.identity import Identity
from imaging.photograph.body_sites import site_code
from imaging.photograph.skin_regions import SkinRegion

PhotographKind = Literal["dermoscopy", "vl"]

DERMOSCOPIC_PHOTOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.7"
VL_PHOTOGRAPHIC = "1.2.840.10008.5.1.4.1.1.77.1.4"


def new_photograph(
    transfer_syntax_uid: UID, *, identity: Identity, series_instance_uid: str, sop_instance_uid: str, kind: PhotographKind,
    series_number: int, instance_number: int, site: str | SkinRegion, frame_of_reference_uid: str, content_date: str, content_time: str,
) -> FileDataset:  # fmt: skip
    """Return a photograph without pixels. The parameters are those of `imaging.photograph.encapsulate.jpeg_to_dicom`."""
    sop_class = DERMOSCOPIC_PHOTOGRAPHY if kind == "dermoscopy" else VL_PHOTOGRAPHIC
    meta = _file_meta(sop_class, sop_instance_uid, transfer_syntax_uid)
    ds = FileDataset("", Dataset(), preamble=b"\0" * 128, file_meta=meta)
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
    if kind == "dermoscopy":
        ds.FrameOfReferenceUID = frame_of_reference_uid or _derive_frame_of_reference(series_instance_uid)
        ds.PositionReferenceIndicator = ""
        _add_dermoscopic(ds)
    return ds


def _file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: UID) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = transfer_syntax_uid
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    return meta


def _derive_frame_of_reference(uid: str) -> str:
    """The Frame of Reference UID of the series with this UID; always the same."""
    return f"2.25.{uuid5(NAMESPACE_OID, f'{uid}/frame-of-reference').int}"


def _add_site(ds: Dataset, site: str | SkinRegion) -> None:
    """Anatomic Region Sequence, with the side as its modifier (PS3.3 Table 10-5; PS3.16 CID 4029, CID 244)."""
    code = site.code if isinstance(site, SkinRegion) else site_code(site)
    if code is None:
        return
    item = _code_item(code)
    side = site.side_code if isinstance(site, SkinRegion) else None
    if side is not None:
        item.AnatomicRegionModifierSequence = [_code_item(side)]
    ds.AnatomicRegionSequence = [item]


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def _add_dermoscopic(ds: Dataset) -> None:
    """Dermoscopic Image Module (PS3.3 C.8.12.13): what a camera's file does not tell stays empty (type 2)."""
    ds.RecognizableVisualFeatures = "NO"
    ds.LightSourcePolarization = None
    ds.EmitterColorTemperature = None
    ds.ContactMethod = None
    ds.OpticalMagnificationFactor = None
