"""DICOM modules that result objects share: SOP common, patient, study, series, equipment, and the origin of the object."""

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pydicom.valuerep import DA, TM

from core.concepts import codes, private_codes
from core.records import Code
from core.states import ResultKind
from core.uids import device_uid
from workers.encode.analysis import Analysis
from workers.encode.anatomy import SIDES, UNPAIRED_BODY_PARTS
from workers.encode.local_time import to_dicom_time
from workers.encode.result_identity import MAX_LO, SERIES_CODES, SERIES_NUMBERS, object_uid, series_description
from workers.encode.source_images.requests import request_attributes
from workers.encode.source_images.source import ImageReference

DOCUMENTS = frozenset({ResultKind.SR, ResultKind.KEY_IMAGES, ResultKind.PDF, ResultKind.REJECTION, ResultKind.ASSESSMENT})
# Documents with a content tree state the request in Referenced Request Sequence; the other objects in the General Series module.
WITH_CONTENT_TREE = DOCUMENTS - {ResultKind.PDF}


def new_result_dataset(
    analysis: Analysis, kind: ResultKind, profile: str, *, sop_class_uid: str, modality: str, number: int = 1
) -> Dataset:
    """A data set with the modules that every result object has; patient and study are those of the source.

    ``number``: of the instance in its series, from 1. The first has the UID of the kind itself.
    """
    model = analysis.identity
    date, time, offset = to_dicom_time(analysis.started_at, analysis.source.time_zone, analysis.time_zone, analysis.source.study_time)
    dataset = Dataset()
    add_source(dataset, analysis)
    dataset.SOPClassUID = UID(sop_class_uid)
    dataset.SOPInstanceUID = UID(object_uid(analysis, kind if number == 1 else f"{kind} {number}", profile))
    dataset.SeriesInstanceUID = UID(object_uid(analysis, f"series {kind}", profile))
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, SERIES_NUMBERS[kind], number
    dataset.SeriesDescription = series_description(analysis, kind)
    dataset.Manufacturer, dataset.ManufacturerModelName = model.manufacturer[:MAX_LO], model.name[:MAX_LO]
    dataset.SoftwareVersions, dataset.DeviceSerialNumber = model.version[:MAX_LO], str(analysis.installation)
    for keyword in ("InstanceCreation", "Series", "Content"):
        setattr(dataset, f"{keyword}Date", DA(date))
        setattr(dataset, f"{keyword}Time", TM(time))
    if offset:
        dataset.TimezoneOffsetFromUTC = offset
    add_origin(dataset, analysis, kind)
    if kind not in WITH_CONTENT_TREE and (requests := request_attributes(analysis.source.requests)):
        dataset.RequestAttributesSequence = requests
    return dataset


def add_origin(document: Dataset, analysis: Analysis, kind: ResultKind) -> None:
    """Series description code, the model as contributing equipment, the private coding scheme, and the body part of documents."""
    document.SeriesDescriptionCodeSequence = [code_sequence_item(SERIES_CODES[kind])]
    document.ContributingEquipmentSequence = [_contributing_equipment(analysis)]
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = private_codes.PRIVATE_SCHEME, private_codes.PRIVATE_SCHEME_NAME
    document.CodingSchemeIdentificationSequence = [scheme]
    if kind in DOCUMENTS:
        _add_document_anatomy(document, analysis)


def _add_document_anatomy(document: Dataset, analysis: Analysis) -> None:
    """Body part, side and region of a document, so that archives find documents by them as they find images.

    These attributes are not in the IODs of documents: a Standard Extended SOP Class (PS3.2 7.3). The region is the header's, else the
    site if all findings have the same one.
    """
    anatomy = analysis.source.anatomy
    if anatomy.body_part:
        document.BodyPartExamined = anatomy.body_part
    if anatomy.series_side:
        document.Laterality = anatomy.series_side
    sites = {anatomy.finding_site(finding.site) for finding in analysis.prediction.findings}
    region = anatomy.region or (sites.pop() if len(sites) == 1 else None)
    if region is not None:
        item = code_sequence_item(region)
        side = None if anatomy.region is None and anatomy.both_sides else SIDES.get(anatomy.side)
        if side is not None:
            item.AnatomicRegionModifierSequence = [code_sequence_item(side)]
        document.AnatomicRegionSequence = [item]


def _contributing_equipment(analysis: Analysis) -> Dataset:
    """The model as an item of Contributing Equipment Sequence (PS3.3 C.12.1.1.5); its Device UID changes with the pipeline digest."""
    identity = analysis.identity
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code_sequence_item(codes.PROCESSING_EQUIPMENT)]
    item.Manufacturer, item.ManufacturerModelName = identity.manufacturer[:MAX_LO], identity.name[:MAX_LO]
    item.SoftwareVersions, item.DeviceSerialNumber = identity.version[:MAX_LO], str(analysis.installation)
    item.DeviceUID = UID(device_uid(analysis.installation, identity.digest))
    item.ContributionDescription = f"{identity.title}; pipeline sha256 {identity.digest}"
    return item


def code_sequence_item(code: Code) -> Dataset:
    """A code as the item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def sop_reference(image: ImageReference) -> Dataset:
    """An item of a sequence that refers to an instance (PS3.3 10.8)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.sop_class_uid, image.sop_instance_uid
    return item


def add_anatomy(document: Dataset, analysis: Analysis, *, with_side: bool = True) -> None:
    """Body part and side of the images, in the General Series module of an image object (PS3.3 C.7.3.1).

    ``with_side``: False if the side is stated elsewhere in the object, as with the segments of a segmentation. Images of a specimen
    have none.
    """
    anatomy = analysis.source.anatomy
    if anatomy.body_part:
        document.BodyPartExamined = anatomy.body_part
    if not with_side or analysis.source.specimen:
        return
    if anatomy.body_part not in UNPAIRED_BODY_PARTS:
        document.Laterality = anatomy.series_side  # type 2C: empty means unknown, absent means a body part without sides


def add_source(document: Dataset, analysis: Analysis) -> None:
    """Patient and study attributes of the source (`workers.encode.source_images.source`), in place of those that the document has."""
    for element in analysis.source.attributes:
        document.add(DataElement(element.tag, element.VR, element.value, validation_mode=config.IGNORE))
    document.StudyInstanceUID = UID(analysis.source.study_instance_uid)


def add_recognizable_features(document: Dataset, analysis: Analysis) -> None:
    """Whether the patient may be recognized in what is drawn, such as a face, as the images state it (PS3.3 C.7.6.1, C.24.2)."""
    if analysis.source.recognizable in ("YES", "NO"):
        document.RecognizableVisualFeatures = analysis.source.recognizable


def round_for_ds(value: float) -> float:
    """A number that VR DS can hold in its 16 characters, without floating point noise."""
    return float(f"{value:.9g}")
