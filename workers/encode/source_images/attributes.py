"""Patient, study and request attributes that a result takes over from an image, and how they are copied.

Values that no valid object may hold are left out and named, so that a report can say so. Identifiers are never changed.
"""

import re
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import validate_value

from imaging.wire.tolerant_values import MAX_LONG_TEXT, MAX_TEXT, TEXT_CUT, TolerantReader, clean_text


def _split_keywords(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Patient, Clinical Trial Subject, General Study, Patient Study and Clinical Trial Study modules (PS3.3 C.7.1.1, C.7.1.3,
# C.7.2.1 to C.7.2.3), without retired attributes and those about the acquisition.
PATIENT = _split_keywords(
    "PatientName PatientID IssuerOfPatientID IssuerOfPatientIDQualifiersSequence TypeOfPatientID PatientBirthDate PatientBirthTime "
    "PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar PatientSex "
    "OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments PatientSpeciesDescription "
    "PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson "
    "ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod DeidentificationMethodCodeSequence "
    "LongitudinalTemporalInformationModified QualityControlSubject ClinicalTrialSponsorName ClinicalTrialProtocolID "
    "IssuerOfClinicalTrialProtocolID OtherClinicalTrialProtocolIDsSequence ClinicalTrialProtocolName ClinicalTrialSiteID "
    "IssuerOfClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID IssuerOfClinicalTrialSubjectID "
    "ClinicalTrialSubjectReadingID IssuerOfClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName "
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber"
)
STUDY = _split_keywords(
    "StudyInstanceUID StudyDate StudyTime ReferringPhysicianName ReferringPhysicianIdentificationSequence StudyID AccessionNumber "
    "IssuerOfAccessionNumberSequence StudyDescription PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence "
    "NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence RequestingService RequestingServiceCodeSequence "
    "ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence "
    "AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientSizeCodeSequence PatientWeight "
    "PatientBodyMassIndex ReasonForVisit ReasonForVisitCodeSequence "
    "MedicalAlerts Allergies PregnancyStatus PatientSexNeutered SmokingStatus AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID "
    "IssuerOfServiceEpisodeIDSequence ServiceEpisodeDescription Occupation AdditionalPatientHistory PatientState "
    "ClinicalTrialTimePointID IssuerOfClinicalTrialTimePointID ClinicalTrialTimePointDescription ClinicalTrialTimePointTypeCodeSequence "
    "LongitudinalTemporalOffsetFromEvent LongitudinalTemporalEventType ConsentForClinicalTrialUseSequence"
)
INSTITUTION = ("InstitutionName",)
# Specimen module (PS3.3 C.7.6.22) of images of a slide; of an item of Specimen Description Sequence those that have to be there.
SPECIMEN = _split_keywords(
    "ContainerIdentifier IssuerOfTheContainerIdentifierSequence AlternateContainerIdentifierSequence ContainerTypeCodeSequence "
    "ContainerDescription SpecimenDescriptionSequence"
)
_SPECIMEN_TYPE_2 = _split_keywords("IssuerOfTheSpecimenIdentifierSequence SpecimenPreparationSequence")
# Request Attributes macro (PS3.3 10.6) to Referenced Request Sequence of the SR Document General module (C.17.2)
REQUEST = _split_keywords(
    "ReferencedStudySequence AccessionNumber IssuerOfAccessionNumberSequence RequestedProcedureID RequestedProcedureDescription "
    "RequestedProcedureCodeSequence ReasonForTheRequestedProcedure ReasonForRequestedProcedureCodeSequence "
    "PlacerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequest"
)
IDENTIFIERS = frozenset({"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID"})
MAX_CHARACTERS = {"LO": 64, "SH": 16}
LONG_TEXT = frozenset({"LT", "UC", "UT"})
ENUMERATED = {"PatientSex": {"M", "F", "O"}}
MAX_NESTING = 4
# Dates and times as ACR-NEMA wrote them, 1999.12.31 and 23:59:59.5, which old devices and converters still write (PS3.5 table 6.2-1).
ACR_NEMA = {
    "DA": re.compile(r"(\d{4})\.(\d\d)\.(\d\d)"),
    "TM": re.compile(r"(\d\d):(\d\d)(?::(\d\d(?:\.\d{1,6})?))?"),
}


def copy_element(dataset: Dataset, keyword: str, into: Dataset, dropped: list[str]) -> None:
    """Copy one element, decoded, into a data set. ``dropped`` receives the keywords of what is left out."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset:
        return
    vr = dictionary_VR(tag)
    if vr == "SQ":
        items = copy_items(dataset, keyword, dropped)
        if items:
            into.add(DataElement(tag, "SQ", DicomSequence(items)))
        return
    notes: list[str] = []
    value = _without_separators(vr, _read_value(dataset, keyword, vr, notes))
    allowed = ENUMERATED.get(keyword)
    if value == "" or value is None:
        return
    if isinstance(value, str) and not keyword.endswith("ID") and len(value) > MAX_CHARACTERS.get(vr, len(value)):
        value = value[: MAX_CHARACTERS[vr]].rstrip()  # but never an identifier: its beginning may be another identifier
        dropped.append(f"{keyword} (its end)")
    elif any(TEXT_CUT in note for note in notes):
        dropped.append(f"{keyword} (its end)")
    if not _is_valid(vr, value, keyword) or (allowed is not None and (isinstance(value, list) or value not in allowed)):
        dropped.append(keyword)
        return
    into.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def _read_value(dataset: Dataset, keyword: str, vr: str, notes: list[str]) -> Any:
    """Text, or a list of texts for several values; numbers for binary VRs; None if the value cannot be read."""
    try:
        raw = dataset.get(keyword)
    except (ValueError, TypeError, OverflowError, AttributeError, KeyError, NotImplementedError, OSError, LookupError):
        return None
    if vr in {"US", "UL", "SS", "SL", "FL", "FD"}:
        return raw
    if isinstance(raw, (MultiValue, list, tuple)) and vr not in {"LT", "ST", "UT"}:
        return [clean_text(str(part), notes, keyword) for part in raw] or None
    return TolerantReader(dataset, notes).text(keyword, MAX_LONG_TEXT if vr in LONG_TEXT else MAX_TEXT)


def _without_separators(vr: str, value: Any) -> Any:
    """A date or time of ACR-NEMA in the form of DICOM; any other value unchanged."""
    match = ACR_NEMA[vr].fullmatch(value) if vr in ACR_NEMA and isinstance(value, str) else None
    return value if match is None else "".join(part or "" for part in match.groups())


def _is_valid(vr: str, value: Any, keyword: str) -> bool:
    if keyword in IDENTIFIERS:  # copied even if malformed: systems find the patient and the study by them
        return True
    try:
        for part in value if isinstance(value, list) else [value]:
            validate_value(vr, part, config.RAISE)
    except (ValueError, TypeError):
        return False
    return True


def copy_specimen(dataset: Dataset, dropped: list[str]) -> Dataset:
    """The Specimen module of an image; an empty data set where it identifies neither container nor specimen."""
    specimen = Dataset()
    for keyword in SPECIMEN:
        copy_element(dataset, keyword, specimen, dropped)
    described = [item for item in specimen.get("SpecimenDescriptionSequence", ()) if "SpecimenIdentifier" in item and "SpecimenUID" in item]
    if "ContainerIdentifier" not in specimen or not described:
        return Dataset()
    specimen.SpecimenDescriptionSequence = described
    for place, keywords in ((specimen, SPECIMEN[1:4:2]), *((item, _SPECIMEN_TYPE_2) for item in described)):
        for keyword in keywords:
            if keyword not in place:
                setattr(place, keyword, [])
    return specimen


def copy_items(dataset: Dataset, keyword: str, dropped: list[str], depth: int = 0) -> list[Dataset]:
    """Copies of a sequence's items: standard elements only, decoded with the character set of each item."""
    sequence = dataset.get(keyword)
    items: list[Dataset] = []
    for item in sequence if sequence is not None and depth < MAX_NESTING else ():
        copied = Dataset()
        for element in item:
            if not element.keyword or element.keyword == "SpecificCharacterSet" or element.VR in {"OB", "OW", "UN", "OF", "OD"}:
                continue
            if element.VR == "SQ":
                inner = copy_items(item, element.keyword, dropped, depth + 1)
                if inner:
                    copied.add(DataElement(element.tag, "SQ", DicomSequence(inner)))
            else:
                copy_element(item, element.keyword, copied, dropped)
        if copied and (not keyword.endswith("CodeSequence") or _is_code(copied)):
            items.append(copied)
        elif copied:
            dropped.append(keyword)
    return items


def _is_code(item: Dataset) -> bool:
    """Whether an item is a complete code, with value, scheme and meaning (PS3.3 8.8)."""
    short = "CodeValue" in item or "LongCodeValue" in item
    return "CodeMeaning" in item and ("URNCodeValue" in item or (short and "CodingSchemeDesignator" in item))
