"""Result objects as DICOM defines them: SOP class, required elements, fixed values (sections of PS3.3).

The validator checks them, and the conformance statement prints them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.states import ResultKind


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TYPE_2 = _keywords("PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber")


@dataclass(frozen=True, slots=True)
class Iod:
    """Definition of one kind of result object.

    Parameters
    ----------
    section
        Sections of PS3.3.
    holds
        Description of the content, for the conformance statement.
    type_1, type_2
        Keywords of elements that must have a value, and of elements that must be present.
    expected
        Elements of which the node writes one fixed value.
    """

    kind: ResultKind
    name: str
    section: str
    holds: str
    type_1: tuple[str, ...]
    type_2: tuple[str, ...]
    expected: Mapping[str, str] = field(default_factory=dict)


# SOP Common, General Series, Enhanced General Equipment (written in every object), the model as contributing equipment
_ALL = _keywords(
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality SeriesNumber InstanceNumber Manufacturer "
    "ManufacturerModelName DeviceSerialNumber SoftwareVersions ContributingEquipmentSequence SeriesDescription"
)
# SR Document General and Content (C.17.2, C.17.3), Key Object Document (C.17.6.2)
_DOCUMENT = _keywords(
    "ContentDate ContentTime ValueType ConceptNameCodeSequence ContinuityOfContent ContentSequence ContentTemplateSequence"
)
# Image Pixel (C.7.6.3)
_PIXELS = _keywords("SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated")
_INTEGERS = _keywords("BitsStored HighBit PixelRepresentation PixelData")
# Multi-frame Functional Groups, Multi-frame Dimension (C.7.6.16, C.7.6.17), Common Instance Reference (C.12.2)
_FRAMES = _keywords(
    "NumberOfFrames ContentDate ContentTime SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence DimensionOrganizationSequence "
    "DimensionIndexSequence ReferencedSeriesSequence ContentLabel ImageType LossyImageCompression"
)
_DESCRIBED = _keywords("ContentDescription ContentCreatorName")  # Content Identification macro (10.9)
_STEP = ("ReferencedPerformedProcedureStepSequence",)

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"

IODS: Mapping[str, Iod] = {
    COMPREHENSIVE_3D_SR: Iod(
        ResultKind.SR,
        "Comprehensive 3D SR",
        "A.35.13",
        "TID 1500 Measurement Report: findings with measurements and positions, the outcome, what the model is not for; references to the "
        "other objects",
        (*_ALL, *_DOCUMENT, *_keywords("CompletionFlag VerificationFlag PreliminaryFlag")),
        (*TYPE_2, *_STEP, "PerformedProcedureCodeSequence"),
        {
            "Modality": "SR",
            "CompletionFlag": "COMPLETE",
            "VerificationFlag": "UNVERIFIED",
            "PreliminaryFlag": "PRELIMINARY",
            "ValueType": "CONTAINER",
        },
    ),
    SEGMENTATION: Iod(
        ResultKind.SEG,
        "Segmentation",
        "A.51, C.8.20",
        "one segment for each finding that has an outline, in the planes of the images, empty frames left out; for a volume in its frame "
        "of reference, and none where its slices have none in common; tracking identifier and UID as in the report; a colour for "
        "each segment",
        (*_ALL, *_PIXELS, *_INTEGERS, *_FRAMES, *_keywords("SegmentationType SegmentSequence")),
        (*TYPE_2, *_DESCRIBED),
        {"Modality": "SEG", "SegmentationType": "BINARY", "PhotometricInterpretation": "MONOCHROME2"},
    ),
    PARAMETRIC_MAP: Iod(
        ResultKind.PARAMETRIC_MAP,
        "Parametric Map",
        "A.75, C.8.32",
        "the heat map of a CT answer, 0 to 1, where the model gives one",
        (*_ALL, *_PIXELS, *_FRAMES),
        (*TYPE_2, *_DESCRIBED),
    ),
    SECONDARY_CAPTURE: Iod(
        ResultKind.HEATMAP,
        "Secondary Capture",
        "A.8.1",
        "findings and heat map drawn on the images, in colour",
        (*_ALL, *_PIXELS, *_INTEGERS, "ConversionType"),
        (*TYPE_2, "PatientOrientation"),
    ),
    KEY_OBJECTS: Iod(
        ResultKind.KEY_IMAGES,
        "Key Object Selection",
        "A.35.4",
        "TID 2010: the images that show findings; where `iocm` is set, the rejection of stored objects of an outdated result",
        (*_ALL, *_DOCUMENT, "CurrentRequestedProcedureEvidenceSequence"),
        (*TYPE_2, *_STEP),
        {"Modality": "KO", "ValueType": "CONTAINER"},
    ),
    ENCAPSULATED_PDF: Iod(
        ResultKind.PDF,
        "Encapsulated PDF",
        "A.45.1, C.24.2",
        "one page for reading: pictures, findings, tiers, model, limits",
        (*_ALL, *_keywords("ConversionType BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument")),
        (*TYPE_2, *_keywords("ContentDate ContentTime AcquisitionDateTime DocumentTitle ConceptNameCodeSequence")),
        {"MIMETypeOfEncapsulatedDocument": "application/pdf"},
    ),
}
