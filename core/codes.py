"""Every coded concept that the project writes: published ones, and private ones with their definition.

Published codes are those of the DICOM content mapping resource (PS3.16, checked against pydicom's dictionaries by
the tests) or are listed in `OUTSIDE_PS3_16` with where they were looked up. Private codes are in `PRIVATE`; the
conformance statement prints that table. No published code is used for a group of diagnoses that it does not mean.
"""

from dataclasses import dataclass

from core.records import Code
from core.states import Tier

PRIVATE_SCHEME = "99DCMNODE"
PRIVATE_SCHEME_NAME = "dicom-node private codes"


@dataclass(frozen=True, slots=True)
class PrivateCode:
    """A concept for which no published code is known, and what it means."""

    code: Code
    definition: str


_PRIVATE: list[PrivateCode] = []


def _private(value: str, meaning: str, definition: str) -> Code:
    code = Code(value, PRIVATE_SCHEME, meaning)
    _PRIVATE.append(PrivateCode(code, definition))
    return code


# Procedure reported (TID 1500 row 3, CID 100)
PROCEDURE_CT = Code("25045-6", "LN", "CT unspecified body region")
PROCEDURE_IMAGING = Code("363679005", "SCT", "Imaging procedure")

# Modality (CID 29)
MODALITY_CT = Code("CT", "DCM", "Computed Tomography")
MODALITY_DERMOSCOPY = Code("DMS", "DCM", "Dermoscopy")
MODALITY_PHOTOGRAPHY = Code("XC", "DCM", "External-camera Photography")

# What is measured, and in which unit
PROBABILITY = Code("122157", "DCM", "Probability")
DIAMETER = Code("81827009", "SCT", "Diameter")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
VOLUME = Code("118565006", "SCT", "Volume")
AREA = Code("42798000", "SCT", "Area")
PERIMETER = Code("131191004", "SCT", "Perimeter")
NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETER = Code("mm", "UCUM", "mm")
SQUARE_MILLIMETER = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETER = Code("mm3", "UCUM", "cubic millimeter")
PIXELS = Code("{pixels}", "UCUM", "Pixels")
CENTER = Code("111010", "DCM", "Center")
COMMENT = Code("121106", "DCM", "Comment")
MODALITY = Code("121139", "DCM", "Modality")
SOURCE = Code("260753009", "SCT", "Source")
IMAGE_LIBRARY = Code("111028", "DCM", "Image Library")
IMAGE_LIBRARY_GROUP = Code("126200", "DCM", "Image Library Group")
PIXEL_ROWS = Code("110910", "DCM", "Pixel Data Rows")
PIXEL_COLUMNS = Code("110911", "DCM", "Pixel Data Columns")
FRAME_OF_REFERENCE = Code("112227", "DCM", "Frame of Reference UID")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")

# How the analysis ended (TID 4001's concept, CID 6047)
SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
FOR_RESEARCH = Code("113009", "DCM", "For Research")

# What an object is, and what made it (CID 7005, CID 7162, CID 7150, CID 7151)
MEASUREMENT_REPORT = Code("126000", "DCM", "Imaging Measurement Report")
SEGMENTATION = Code("113076", "DCM", "Segmentation")
SOURCE_SERIES = Code("121232", "DCM", "Source series for segmentation")
SOURCE_IMAGE = Code("121233", "DCM", "Source image for segmentation")
SALIENCY = Code("130404", "DCM", "Saliency")
KEY_IMAGES = Code("121180", "DCM", "Key Images")
SOURCE_FOR_PROCESSING = Code("121322", "DCM", "Source image for image processing operation")
UNSPECIFIED_CALCULATION = Code("112187", "DCM", "Unspecified method of calculation")
OF_INTEREST = Code("113000", "DCM", "Of Interest")
REJECTED = Code("113001", "DCM", "Rejected for Quality Reasons")
KEY_OBJECT_DESCRIPTION = Code("113012", "DCM", "Key Object Description")
IMAGING_REPORT = Code("18748-4", "LN", "Diagnostic Imaging Report")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
LATERALITY = Code("272741003", "SCT", "Laterality")
LEFT = Code("7771000", "SCT", "Left")
RIGHT = Code("24028007", "SCT", "Right")

# What is found
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")
SKIN = Code("39937001", "SCT", "Skin")
MELANOMA = Code("93655004", "SCT", "Malignant melanoma of skin")
BASAL_CELL_CARCINOMA = Code("254701007", "SCT", "Basal cell carcinoma of skin")
MELANOCYTIC_NEVUS = Code("400096001", "SCT", "Melanocytic nevus")
ADENOCARCINOMA_OF_LUNG = Code("254626006", "SCT", "Adenocarcinoma of lung")
LARGE_CELL_CARCINOMA_OF_LUNG = Code("254629004", "SCT", "Large cell carcinoma of lung")
SQUAMOUS_CELL_CARCINOMA_OF_LUNG = Code("254634000", "SCT", "Squamous cell carcinoma of lung")
NORMAL = Code("17621005", "SCT", "Normal")

ABSTAINED = _private(
    "ABSTAINED",
    "Algorithm ran and abstained",
    "The algorithm ran and gives no result, because the input is unlike what it was made for or its answer is unsure.",
)
SCORE = _private(
    "SCORE",
    "Uncalibrated model score",
    "A number from 0 to 1 that orders the findings of one model. It is no probability: nothing has calibrated it.",
)
CLASS_PROBABILITIES = _private(
    "CLASSES",
    "Probability of every class",
    "The calibrated probability of every class that the classifier knows, as text, by the model's class names; they add up to 1.",
)
MALIGNANCY = _private(
    "MALIGNANCY",
    "Probability of malignancy (mel + bcc + akiec)",
    "The sum of the calibrated probabilities of the HAM10000 classes melanoma, basal cell carcinoma, and actinic keratosis or "
    "intraepithelial carcinoma.",
)
TIER = _private(
    "TIER", "Confidence tier", "How much weight a reader may give a result. Its limits are in the model card and in the report."
)
TIER_HIGH = _private("TIER-HIGH", "High", "Confidence tier: the probability is above the card's upper limit.")
TIER_REVIEW = _private("TIER-REVIEW", "Review", "Confidence tier: the probability is between the card's two limits; a person has to look.")
TIER_UNCERTAIN = _private(
    "TIER-UNCERTAIN", "Uncertain", "Confidence tier: the probability is below the card's lower limit, or is not calibrated."
)
NOT_FOR = _private("NOT-FOR", "Not for", "One sentence that says what the result must not be used for.")
LIMITS = _private("LIMITS", "Limits of the analysis", "A known limit of the algorithm, or what was dropped or tolerated in this input.")
LOOKED_FOR = _private("LOOKED-FOR", "Looked for", "What the algorithm looked for, at what size and at what operating point.")
REASON = _private("REASON", "Reason why there is no result", "Why the algorithm abstained, or why the input was not analysed.")
STATUS = _private(
    "STATUS", "Status of the algorithm", "Whether the algorithm is for research only or was released for clinical use by the site."
)
CLINICAL = _private("CLINICAL", "Released for clinical use", "Status of the algorithm: the site has released it for clinical use.")
ACTINIC_KERATOSIS_OR_CARCINOMA_IN_SITU = _private(
    "AKIEC",
    "Actinic keratosis or intraepithelial carcinoma",
    "A class of HAM10000: actinic keratosis or intraepithelial carcinoma (Bowen's disease); which of the two is not said.",
)
BENIGN_KERATOSIS = _private(
    "BKL",
    "Benign keratosis-like lesion",
    "A class of HAM10000: seborrheic keratosis, solar lentigo or lichen-planus-like keratosis; which of them is not said.",
)
DERMATOFIBROMA = _private(
    "DF", "Dermatofibroma", "A class of HAM10000: dermatofibroma. Private because no published code could be verified."
)
VASCULAR_LESION = _private(
    "VASC",
    "Vascular skin lesion",
    "A class of HAM10000: angioma, angiokeratoma, pyogenic granuloma or hemorrhage of the skin; which of them is not said.",
)
DENSITY = _private(
    "DENSITY",
    "Density of the nodule by rule",
    "Whether a nodule is solid, part-solid or ground-glass, by the share of its region that is denser than a limit; "
    "both in the model card.",
)
SOLID = _private("SOLID", "Solid", "Density by rule: most of the region is denser than the limit.")
PART_SOLID = _private("PART-SOLID", "Part-solid", "Density by rule: a part of the region is denser than the limit.")
GROUND_GLASS = _private("GROUND-GLASS", "Ground-glass", "Density by rule: next to nothing of the region is denser than the limit.")
SIZE_BAND = _private(
    "SIZE-BAND",
    "Size band of the nodule (like Lung-RADS, not Lung-RADS)",
    "The band into which the mean of long and short axis of the marked region falls. The limits are those of Lung-RADS for solid "
    "nodules at baseline; it is no Lung-RADS category, which takes a reader, the patient's history and earlier images.",
)
SIZE_BELOW_6 = _private("SIZE-BELOW-6", "Below 6 mm", "Size band: mean axis below 6 mm.")
SIZE_6_TO_8 = _private("SIZE-6-TO-8", "6 to below 8 mm", "Size band: mean axis from 6 to below 8 mm.")
SIZE_8_TO_15 = _private("SIZE-8-TO-15", "8 to below 15 mm", "Size band: mean axis from 8 to below 15 mm.")
SIZE_FROM_15 = _private("SIZE-FROM-15", "15 mm or more", "Size band: mean axis of 15 mm or more.")

PRIVATE: tuple[PrivateCode, ...] = tuple(_PRIVATE)

OUTSIDE_PS3_16: dict[Code, str] = {
    MELANOMA: "SNOMED CT, Malignant melanoma of skin (disorder)",
    BASAL_CELL_CARCINOMA: "SNOMED CT, Basal cell carcinoma of skin (disorder)",
    MELANOCYTIC_NEVUS: "SNOMED CT, Melanocytic nevus (disorder)",
    LARGE_CELL_CARCINOMA_OF_LUNG: "SNOMED CT, Large cell carcinoma of lung (disorder)",
    SOURCE: "SNOMED CT, Source (attribute)",
    PIXELS: "PS3.16 TID 1602 (UCUM annotation)",
    QUALITATIVE_EVALUATIONS: "PS3.16 TID 1500 (UMLS concept)",
}

DERMOSCOPY: dict[str, Code] = {
    "akiec": ACTINIC_KERATOSIS_OR_CARCINOMA_IN_SITU,
    "bcc": BASAL_CELL_CARCINOMA,
    "bkl": BENIGN_KERATOSIS,
    "df": DERMATOFIBROMA,
    "mel": MELANOMA,
    "nv": MELANOCYTIC_NEVUS,
    "vasc": VASCULAR_LESION,
}

LUNG_HISTOLOGY: dict[str, Code] = {
    "adenocarcinoma": ADENOCARCINOMA_OF_LUNG,
    "large_cell_carcinoma": LARGE_CELL_CARCINOMA_OF_LUNG,
    "squamous_cell_carcinoma": SQUAMOUS_CELL_CARCINOMA_OF_LUNG,
    "normal": NORMAL,
}

TIERS: dict[Tier, Code] = {Tier.HIGH: TIER_HIGH, Tier.REVIEW: TIER_REVIEW, Tier.UNCERTAIN: TIER_UNCERTAIN}


def published() -> tuple[Code, ...]:
    """Every published code that is a constant of this module."""
    return tuple(value for value in globals().values() if isinstance(value, Code) and value.scheme != PRIVATE_SCHEME)


def declared(value: str, scheme: str) -> Code | None:
    """The constant of this module with that value and scheme; None where there is none."""
    private = tuple(entry.code for entry in PRIVATE)
    return next((code for code in (*published(), *private) if (code.value, code.scheme) == (value, scheme)), None)
