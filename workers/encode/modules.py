"""Type 1 and type 2 elements of the objects that we make, by SOP class (PS3.3: the tables are named), and values that are fixed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from workers.encode.source import TYPE_2


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(text.split())


@dataclass(frozen=True, slots=True)
class Rules:
    """``type_1``: there, with a value. ``type_2``: there. ``expected``: the one value that we write."""

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

RULES: Mapping[str, Rules] = {
    str(Comprehensive3DSRStorage): Rules(
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
    str(SegmentationStorage): Rules(  # A.51, C.8.20
        (*_ALL, *_PIXELS, *_INTEGERS, *_FRAMES, *_keywords("SegmentationType SegmentSequence")),
        (*TYPE_2, *_DESCRIBED),
        {"Modality": "SEG", "SegmentationType": "BINARY", "PhotometricInterpretation": "MONOCHROME2"},
    ),
    str(ParametricMapStorage): Rules((*_ALL, *_PIXELS, *_FRAMES), (*TYPE_2, *_DESCRIBED)),  # A.75, C.8.32
    str(SecondaryCaptureImageStorage): Rules((*_ALL, *_PIXELS, *_INTEGERS, "ConversionType"), (*TYPE_2, "PatientOrientation")),  # A.8.1
    str(KeyObjectSelectionDocumentStorage): Rules(  # A.35.4
        (*_ALL, *_DOCUMENT, "CurrentRequestedProcedureEvidenceSequence"), (*TYPE_2, *_STEP), {"Modality": "KO", "ValueType": "CONTAINER"}
    ),
    str(EncapsulatedPDFStorage): Rules(  # A.45.1, C.24.2
        (*_ALL, *_keywords("ConversionType BurnedInAnnotation MIMETypeOfEncapsulatedDocument EncapsulatedDocument")),
        (*TYPE_2, *_keywords("ContentDate ContentTime AcquisitionDateTime DocumentTitle ConceptNameCodeSequence")),
        {"MIMETypeOfEncapsulatedDocument": "application/pdf"},
    ),
}
