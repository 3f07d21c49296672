"""What every result object has alike: its names, patient and study of the source, equipment, times, and the file around it."""

import io

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from core import codes, private_codes
from core.records import Code
from core.states import ModelStatus, ResultKind
from core.uids import IMPLEMENTATION_CLASS_UID, device_uid, result_uid
from imaging.wire.writer import encode_dataset
from workers.encode.analysis import Analysis
from workers.encode.anatomy import SIDES
from workers.encode.sr.content_items import Item
from workers.encode.text import CharacterSet, character_sets, local_time

IMPLEMENTATION_VERSION = "DICOM_NODE_0_1"
MAX_LO = 64
# One series a kind: behind everything that a scanner numbers, the report first.
SERIES_NUMBERS = {
    ResultKind.SR: 9901,
    ResultKind.SEG: 9902,
    ResultKind.HEATMAP: 9903,
    ResultKind.PARAMETRIC_MAP: 9904,
    ResultKind.KEY_IMAGES: 9905,
    ResultKind.PDF: 9906,
    ResultKind.REJECTION: 9907,
}
# What a series holds, coded (Series Description Code Sequence, no CID is defined for it).
# The report calls its companions by the same names.
SERIES_CODES: dict[ResultKind, Code] = {
    ResultKind.SR: codes.MEASUREMENT_REPORT,
    ResultKind.SEG: codes.SEGMENTATION,
    ResultKind.HEATMAP: codes.SALIENCY,
    ResultKind.PARAMETRIC_MAP: codes.SALIENCY,
    ResultKind.KEY_IMAGES: codes.KEY_IMAGES,
    ResultKind.PDF: codes.IMAGING_REPORT,
    ResultKind.REJECTION: codes.REJECTED,
}
DOCUMENTS = frozenset({ResultKind.SR, ResultKind.KEY_IMAGES, ResultKind.PDF, ResultKind.REJECTION})
# Body parts (PS3.16 Annex L) without a left and a right that the node has met
UNPAIRED = frozenset({"ABDOMEN", "CHEST", "HEAD", "NECK", "PELVIS", "SKULL", "SPINE", "THORAX", "WHOLEBODY"})


def object_uid(analysis: Analysis, kind: str, profile: str) -> str:
    """The UID of an object or series of this analysis; the same on retry."""
    return result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, kind, profile)


def is_research(analysis: Analysis) -> bool:
    return analysis.identity.status == ModelStatus.RESEARCH


def series_description(analysis: Analysis) -> str:
    """Model, version, and RESEARCH where it is for research, in 64 characters."""
    status = " RESEARCH" if is_research(analysis) else ""
    return f"{analysis.identity.name} {analysis.identity.version}"[: MAX_LO - len(status)] + status


def head(analysis: Analysis, kind: ResultKind, profile: str, *, sop_class_uid: str, modality: str, number: int = 1) -> Dataset:
    """SOP Common, General Series and Equipment of an object that is written by hand, with patient and study of the source.

    ``number``: of the instance in its series, from 1; the first has the kind's own UID.
    """
    model = analysis.identity
    date, time, offset = local_time(analysis.started_at, analysis.source.time_zone, analysis.time_zone)
    dataset = Dataset()
    add_source(dataset, analysis)
    dataset.SOPClassUID = UID(sop_class_uid)
    dataset.SOPInstanceUID = UID(object_uid(analysis, kind if number == 1 else f"{kind} {number}", profile))
    dataset.SeriesInstanceUID = UID(object_uid(analysis, f"series {kind}", profile))
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, SERIES_NUMBERS[kind], number
    dataset.SeriesDescription = series_description(analysis)
    dataset.Manufacturer, dataset.ManufacturerModelName = model.manufacturer[:MAX_LO], model.name[:MAX_LO]
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = model.version[:MAX_LO], str(analysis.installation)
    for keyword in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{keyword}Date", DA(date))
        setattr(dataset, f"{keyword}Time", TM(time))
    if offset:
        dataset.TimezoneOffsetFromUTC = offset
    add_origin(dataset, analysis, kind)
    return dataset


def add_origin(document: Dataset, analysis: Analysis, kind: ResultKind) -> None:
    """What the series holds, coded; the model as contributing equipment; where our private codes are declared."""
    document.SeriesDescriptionCodeSequence = [code_item(SERIES_CODES[kind])]
    document.ContributingEquipmentSequence = [_model(analysis)]
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = private_codes.PRIVATE_SCHEME, private_codes.PRIVATE_SCHEME_NAME
    document.CodingSchemeIdentificationSequence = [scheme]
    if kind in DOCUMENTS:
        _add_place(document, analysis)


def _add_place(document: Dataset, analysis: Analysis) -> None:
    """Body part, side and region in what is no image, so that archives find it by them as they find the images.

    Beyond these IODs: a Standard Extended SOP Class (PS3.2 7.3). The region is the header's, else the one site of all findings.
    """
    anatomy = analysis.source.anatomy
    if anatomy.body_part:
        document.BodyPartExamined = anatomy.body_part
    if anatomy.side:
        document.Laterality = anatomy.side
    sites = {anatomy.site(finding.site) for finding in analysis.prediction.findings}
    region = anatomy.region or (sites.pop() if len(sites) == 1 else None)
    if region is not None:
        item = code_item(region)
        if anatomy.side:
            item.AnatomicRegionModifierSequence = [code_item(SIDES[anatomy.side])]
        document.AnatomicRegionSequence = [item]


def _model(analysis: Analysis) -> Dataset:
    """An item of Contributing Equipment Sequence (PS3.3 C.12.1.1.5); its Device UID changes with the model."""
    identity = analysis.identity
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_item(codes.PROCESSING_EQUIPMENT)]
    item.Manufacturer, item.ManufacturerModelName = identity.manufacturer[:MAX_LO], identity.name[:MAX_LO]
    item.SoftwareVersions, item.DeviceSerialNumber = identity.version[:MAX_LO], str(analysis.installation)
    item.DeviceUID = UID(device_uid(analysis.installation, identity.digest))
    item.ContributionDescription = f"{identity.title}; pipeline sha256 {identity.digest}"
    return item


def code_item(code: Code) -> Dataset:
    """An item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def add_anatomy(document: Dataset, analysis: Analysis, *, sides: bool = True) -> None:
    """Body part and side of the images, in the General Series module of an image object (PS3.3 C.7.3.1).

    ``sides``: not where the side stands elsewhere in the object, as it does with the segments of a segmentation.
    """
    anatomy = analysis.source.anatomy
    if anatomy.body_part:
        document.BodyPartExamined = anatomy.body_part
    if not sides:
        return
    if anatomy.side or anatomy.body_part not in UNPAIRED:
        document.Laterality = anatomy.side  # type 2C: empty is unknown, absent is a part without sides


def add_source(document: Dataset, analysis: Analysis) -> None:
    """Patient and study as the source has them (see source.py), over whatever the document holds."""
    for element in analysis.source.attributes:
        document.add(DataElement(element.tag, element.VR, element.value, validation_mode=config.IGNORE))
    document.StudyInstanceUID = UID(analysis.source.study_instance_uid)


def part10(document: Dataset, source_set: tuple[str, ...], tree: Item | None = None) -> bytes:
    """The file, Explicit VR Little Endian, in the source's character set where it can hold the document.

    ``tree``: the root of its content, where it is a structured report.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = document.SOPClassUID
    meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION
    buffer = DicomBytesIO(b"\0" * 128 + b"DICM")
    buffer.seek(0, io.SEEK_END)
    write_file_meta_info(buffer, meta)
    return buffer.getvalue() + _body(document, source_set, tree)


def _body(document: Dataset, source_set: tuple[str, ...], tree: Item | None) -> bytes:
    first, *others = character_sets(source_set)
    try:
        return _in_set(document, first, tree)
    except UnicodeError:
        return _in_set(document, others[0], tree)


def _in_set(document: Dataset, characters: CharacterSet, tree: Item | None) -> bytes:
    if characters.name:
        document.SpecificCharacterSet = characters.name
    elif "SpecificCharacterSet" in document:
        del document.SpecificCharacterSet
    for one in () if tree is None else tree.raw(characters.encode):
        document[one.tag] = one
    return encode_dataset(document, characters.encode)
