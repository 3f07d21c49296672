"""The objects of a result as DICOM defines them: SOP class, template, the elements that must be there, values that are fixed.

Our validator goes by it, and the conformance statement prints it. PS3.3 tables are named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.states import ReportKind


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(text.split())


TYPE_2 = _keywords("PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID AccessionNumber")


@dataclass(frozen=True, slots=True)
class Iod:
    """``holds``: in words. ``type_1``: there, with a value. ``type_2``: there. ``expected``: the one value that we write."""

    kind: ReportKind
    name: str
    section: str
    holds: str
    type_1: tuple[str, ...]
    type_2: tuple[str, ...]
    expected: Mapping[str, str] = field(default_factory=dict)


# SOP Common, General Series, Enhanced General Equipment (we fill it in everywhere), the model as contributing equipment
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
        ReportKind.SR,
        "Comprehensive 3D SR",
        "A.35.13",
        "TID 1500 Measurement Report: findings with measures and places, the outcome, what the model is not for; references to the others",
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
        ReportKind.SEG,
        "Segmentation",
        "A.51, C.8.20",
        "one segment for each finding that has an outline, in the images' own planes, only frames that hold something; of a volume in its "
        "frame of reference, and none where its slices have none in common; tracking identifier and UID of the finding in the report",
        (*_ALL, *_PIXELS, *_INTEGERS, *_FRAMES, *_keywords("SegmentationType SegmentSequence")),
        (*TYPE_2, *_DESCRIBED),
        {"Modality": "SEG", "SegmentationType": "BINARY", "PhotometricInterpretation": "MONOCHROME2"},
    ),
    PARAMETRIC_MAP: Iod(
        ReportKind.PARAMETRIC_MAP,
        "Parametric Map",
        "A.75, C.8.32",
        "the evidence for the answer on CT, 0 to 1, where the model gives it",
        (*_ALL, *_PIXELS, *_FRAMES),
        (*TYPE_2, *_DESCRIBED),
    ),
    SECONDARY_CAPTURE: Iod(
        ReportKind.HEATMAP,
        "Secondary Capture",
        "A.8.1",
        "the findings and the evidence drawn on the images, in colour",
        (*_ALL, *_PIXELS, *_INTEGERS, "ConversionType"),
        (*TYPE_2, "PatientOrientation"),
    ),
    KEY_OBJECTS: Iod(
        ReportKind.KEY_IMAGES,
        "Key Object Selection",
        "A.35.4",
        "TID 2010: the images on which findings are seen; where `iocm` is set, the rejection of what was stored of an outdated result",
        (*_ALL, *_DOCUMENT, "CurrentRequestedProcedureEvidenceSequence"),
        (*TYPE_2, *_STEP),
        {"Modality": "KO", "ValueType": "CONTAINER"},
    ),
    ENCAPSULATED_PDF: Iod(
        ReportKind.PDF,
        "Encapsulated PDF",
        "A.45.1, C.24.2",
        "one page to read: pictures, findings, tiers, model, limits",
        (*_ALL, *_keywords("ConversionType BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument")),
        (*TYPE_2, *_keywords("ContentDate ContentTime AcquisitionDateTime DocumentTitle ConceptNameCodeSequence")),
        {"MIMETypeOfEncapsulatedDocument": "application/pdf"},
    ),
}
