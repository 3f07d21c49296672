"""What a result takes over from the images it was made of: patient, study, request, and references to the images."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import validate_value

from core.errors import EncodingError
from core.iods import TYPE_2
from core.records import UnitInput
from imaging.headers.instance_header import read_header
from imaging.headers.unreadable_elements import drop_unreadable_elements
from imaging.wire.notes import warnings_as_notes
from imaging.wire.tolerant_parser import read_dataset
from imaging.wire.tolerant_values import TolerantReader, clean_text
from workers.encode.anatomy import Anatomy, anatomy_of


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Patient, Clinical Trial Subject, General Study, Patient Study and Clinical Trial Study modules (PS3.3 C.7.1.1, C.7.1.3,
# C.7.2.1 to C.7.2.3), without what is retired or is about the acquisition.
PATIENT = _keywords(
    "PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate PatientBirthTime "
    "PatientSex OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription "
    "PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson "
    "ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence "
    "QualityControlSubject ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID "
    "ClinicalTrialSiteName ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName "
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber"
)
STUDY = _keywords(
    "StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence StudyID AccessionNumber "
    "IssuerOfAccessionNumberSequence StudyDescription PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence "
    "NameOfPhysiciansReadingStudy RequestingService ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence "
    "ConsultingPhysicianName AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight "
    "MedicalAlerts Allergies PregnancyStatus PatientSexNeutered SmokingStatus AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID "
    "IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription Occupation AdditionalPatientHistory PatientState "
    "ClinicalTrialTimePointID ClinicalTrialTimePointDescription LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType"
)
EQUIPMENT_OF_SITE = ("InstitutionName",)
# Request Attributes macro (PS3.3 10.6) to Referenced Request Sequence of the SR Document General module (C.17.2)
REQUEST = _keywords(
    "ReferencedStudySequence AccessionNumber IssuerOfAccessionNumberSequence RequestedProcedureID RequestedProcedureDescription "
    "RequestedProcedureCodeSequence ReasonForTheRequestedProcedure ReasonForRequestedProcedureCodeSequence "
    "PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest"
)
IDENTIFIERS = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID"})
MAX_CHARACTERS = {"LO": 64, "SH": 16}
ENUMERATED = {"PatientSex": {"M", "F", "O"}}
MAX_DEPTH = 4
# General Image module (PS3.3 C.7.6.1): what was lost before the analysis is said of every image made from it
LOSSY = _keywords("LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod")
_OFFSET = re.compile(r"^[+-](?:0\d|1[0-4])[0-5]\d$")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One instance of the unit."""

    sop_class_uid: str
    sop_instance_uid: str
    rows: int | None = None
    columns: int | None = None
    number_of_frames: int = 1
    number: int | None = None  # Instance Number, by which viewers call it


@dataclass(frozen=True, slots=True)
class Source:
    """What is taken over. ``attributes``: patient and study elements, clean, decoded; ``requests``: C.17.2 items."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str
    attributes: Dataset
    requests: tuple[Dataset, ...]
    images: tuple[ImageReference, ...]
    character_set: tuple[str, ...] = ()
    time_zone: str = ""
    dropped: tuple[str, ...] = ()  # keywords of values that no valid object may hold
    anatomy: Anatomy = field(default_factory=Anatomy)
    burned_in: str = ""  # Burned In Annotation: "YES", "NO", or "" where it is not said
    lossy: Dataset = field(default_factory=Dataset)  # how the images were compressed with loss; empty where they were not

    def image(self, sop_instance_uid: str) -> ImageReference:
        """The instance of that UID. Raises EncodingError where the unit has none."""
        for image in self.images:
            if image.sop_instance_uid == sop_instance_uid:
                return image
        raise EncodingError("a finding refers to an image that is no part of the unit", hint="this is a defect of the model's code")

    def called(self, sop_instance_uid: str, frame: int | None) -> str:
        """As viewers number an image of the unit: by Instance Number, a frame by its own; empty where that is not known."""
        image = next((image for image in self.images if image.sop_instance_uid == sop_instance_uid), None)
        if image is None or (image.number_of_frames == 1 and image.number is None):
            return ""
        return f"image {image.number}" if image.number_of_frames == 1 else f"frame {frame}"


def read_source(inputs: Sequence[UnitInput], *, referenced: Iterable[str] = ()) -> Source:
    """The source of a unit: attributes of its first instance, references to all.

    ``referenced``: SOP Instance UIDs that findings are seen on; only of these number, rows and columns are read.

    Raises
    ------
    EncodingError
        the unit has no instance.
    CannotUnderstand
        its first instance cannot be parsed.
    """
    if not inputs:
        raise EncodingError("a unit without instances has no report")
    seen = set(referenced)
    images = []
    for entry in inputs:
        image = ImageReference(entry.sop_class_uid, entry.sop_instance_uid)
        if entry.sop_instance_uid in seen:
            header = read_header(Path(entry.path))
            image = replace(image, rows=header.rows, columns=header.columns, number_of_frames=header.number_of_frames)
            image = replace(image, number=header.instance_number)
        images.append(image)
    return source_of(read_dataset(Path(inputs[0].path)), tuple(images))


def source_of(dataset: Dataset, images: tuple[ImageReference, ...]) -> Source:
    """As `read_source`, from a parsed data set."""
    notes: list[str] = []
    dropped: list[str] = []
    with warnings_as_notes(notes):
        drop_unreadable_elements(dataset, notes)
        read = TolerantReader(dataset, notes)
        taken = Dataset()
        for keyword in (*PATIENT, *STUDY, *EQUIPMENT_OF_SITE):
            _take(dataset, keyword, taken, read, dropped)
        for keyword in TYPE_2:
            if keyword not in taken:
                setattr(taken, keyword, "")
        zone = read.text("TimezoneOffsetFromUTC")
        requests = _requests(dataset, read, dropped)
        lossy = Dataset()
        for keyword in LOSSY if read.text("LossyImageCompression") == "01" else ():
            _take(dataset, keyword, lossy, read, dropped)
        return Source(
            study_instance_uid=read.text("StudyInstanceUID"),
            series_instance_uid=read.text("SeriesInstanceUID"),
            modality=read.text("Modality"),
            attributes=taken,
            requests=requests,
            images=images,
            character_set=tuple(text for text in read.texts("SpecificCharacterSet")),
            time_zone=zone if _OFFSET.match(zone) else "",
            dropped=tuple(dict.fromkeys(dropped)),
            anatomy=anatomy_of(dataset),
            burned_in=read.text("BurnedInAnnotation").upper(),
            lossy=lossy,
        )


def _take(dataset: Dataset, keyword: str, into: Dataset, read: TolerantReader, dropped: list[str]) -> None:
    """Copy one element, decoded, into a data set; what no valid object may hold is left out and named."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return
    vr = dictionary_VR(tag)
    if vr == "SQ":
        items = _items(dataset, keyword, dropped)
        if items:
            into.add(DataElement(tag, "SQ", DicomSequence(items)))
        return
    value = _value(dataset, keyword, vr, read)
    allowed = ENUMERATED.get(keyword)
    if value == "" or value is None:
        return
    if isinstance(value, str) and not keyword.endswith("ID") and len(value) > MAX_CHARACTERS.get(vr, len(value)):
        value = value[: MAX_CHARACTERS[vr]].rstrip()  # half a description says more than none; half an identifier lies
        dropped.append(f"{keyword} (its end)")
    if not _valid(vr, value, keyword) or (allowed is not None and (isinstance(value, list) or value not in allowed)):
        dropped.append(keyword)
        return
    into.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def _value(dataset: Dataset, keyword: str, vr: str, read: TolerantReader) -> Any:
    """Text, or a list of texts where there are several values. Everything that is copied is text in DICOM."""
    try:
        raw = dataset.get(keyword)
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, NotImplementedError, OSError, LookupError):
        return None
    if vr in {"US", "UL", "SS", "SL", "FL", "FD"}:
        return raw
    if isinstance(raw, (MultiValue, list, tuple)) and vr not in {"LT", "ST", "UT"}:
        return [clean_text(str(part), [], keyword) for part in raw] or None
    return read.text(keyword)


def _valid(vr: str, value: Any, keyword: str) -> bool:
    if keyword in IDENTIFIERS:  # an identifier is never changed and never lost, however it is written
        return True
    try:
        for part in value if isinstance(value, list) else [value]:
            validate_value(vr, part, config.RAISE)
    except (ValueError, TypeError):
        return False
    return True


def _items(dataset: Dataset, keyword: str, dropped: list[str], depth: int = 0) -> list[Dataset]:
    """Items of a sequence: standard elements only, each decoded with the character set of its own item."""
    sequence = dataset.get(keyword)
    items: list[Dataset] = []
    for item in sequence if sequence is not None and depth < MAX_DEPTH else ():
        read = TolerantReader(item, [])
        copied = Dataset()
        for element in item:
            if not element.keyword or element.keyword == "SpecificCharacterSet" or element.VR in {"OB", "OW", "UN", "OF", "OD"}:
                continue
            if element.VR == "SQ":
                inner = _items(item, element.keyword, dropped, depth + 1)
                if inner:
                    copied.add(DataElement(element.tag, "SQ", DicomSequence(inner)))
            else:
                _take(item, element.keyword, copied, read, dropped)
        if copied and (not keyword.endswith("CodeSequence") or _is_code(copied)):
            items.append(copied)
        elif copied:
            dropped.append(keyword)
    return items


def _is_code(item: Dataset) -> bool:
    """A code without scheme or meaning says nothing, and no valid object may hold it (PS3.3 8.8)."""
    short = "CodeValue" in item or "LongCodeValue" in item
    return "CodeMeaning" in item and ("URNCodeValue" in item or (short and "CodingSchemeDesignator" in item))


def _requests(dataset: Dataset, read: TolerantReader, dropped: list[str]) -> tuple[Dataset, ...]:
    """Items of Referenced Request Sequence: one a requested procedure; none where nothing was requested."""
    found = []
    for item in _items(dataset, "RequestAttributesSequence", dropped):
        found.append(_request(item, read, dropped))
    if not found and any(dataset.get(keyword) for keyword in ("AccessionNumber", "RequestedProcedureID", "RequestedProcedureCodeSequence")):
        found.append(_request(dataset, read, dropped))
    return tuple(found)


def _request(item: Dataset, read: TolerantReader, dropped: list[str]) -> Dataset:
    request = Dataset()
    for keyword in REQUEST:
        _take(item, keyword, request, TolerantReader(item, []), dropped)
    own = TolerantReader(item, []).text("StudyInstanceUID")
    request.StudyInstanceUID = own or read.text("StudyInstanceUID")
    accession = read.text("AccessionNumber")
    for keyword, value in (
        ("AccessionNumber", accession),
        ("PlacerOrderNumberImagingServiceRequest", ""),
        ("FillerOrderNumberImagingServiceRequest", ""),
        ("RequestedProcedureID", ""),
        ("RequestedProcedureDescription", ""),
    ):
        if keyword not in request:
            request.add(DataElement(tag_for_keyword(keyword) or 0, dictionary_VR(keyword), value, validation_mode=config.IGNORE))
    for keyword in ("ReferencedStudySequence", "RequestedProcedureCodeSequence"):
        if keyword not in request:
            setattr(request, keyword, [])
    return request
