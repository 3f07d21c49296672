"""Published coded concepts that the project writes, and the codes of the models' classes.

They are those of the DICOM content mapping resource (PS3.16, checked against pydicom's dictionaries by the tests), or are listed in
`OUTSIDE_PS3_16` with their source.
"""

from core.concepts.private_codes import (
    ACTINIC_KERATOSIS_OR_CARCINOMA_IN_SITU,
    BENIGN_KERATOSIS,
    DERMATOFIBROMA,
    PRIVATE,
    PRIVATE_SCHEME,
    TIER_HIGH,
    TIER_REVIEW,
    TIER_UNCERTAIN,
    VASCULAR_LESION,
)
from core.records import Code
from core.states import Tier

# Procedure reported (TID 1500 row 3, CID 100)
PROCEDURE_CT = Code("25045-6", "LN", "CT unspecified body region")
PROCEDURE_IMAGING = Code("363679005", "SCT", "Imaging procedure")

# Modality (CID 29)
MODALITY_CT = Code("CT", "DCM", "Computed Tomography")
MODALITY_PHOTOGRAPHY = Code("XC", "DCM", "External-camera Photography")

# What is measured, and in which unit
PROBABILITY = Code("122157", "DCM", "Probability")
DIAMETER = Code("81827009", "SCT", "Diameter")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
VOLUME = Code("118565006", "SCT", "Volume")
AREA = Code("42798000", "SCT", "Area")
PERIMETER = Code("131191004", "SCT", "Perimeter")
MARGINS = Code("111037", "DCM", "Margins")
CIRCUMSCRIBED_MARGIN = Code("RID5707", "RADLEX", "Circumscribed margin")
INDISTINCT_MARGIN = Code("RID5709", "RADLEX", "Indistinct margin")
NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETER = Code("mm", "UCUM", "mm")
SQUARE_MILLIMETER = Code("mm2", "UCUM", "square millimeter")
CUBIC_MILLIMETER = Code("mm3", "UCUM", "cubic millimeter")
PERCENT = Code("%", "UCUM", "Percent")
DAY = Code("d", "UCUM", "day")
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

SUMMARY_IN_WORDS = Code("121111", "DCM", "Summary")

# How the analysis ended (concept of TID 4001, CID 6047)
SUMMARY = Code("111017", "DCM", "CAD Processing and Findings Summary")
WITH_FINDINGS = Code("111242", "DCM", "All algorithms succeeded; with findings")
WITHOUT_FINDINGS = Code("111241", "DCM", "All algorithms succeeded; without findings")
NONE_SUCCEEDED = Code("111245", "DCM", "No algorithms succeeded; without findings")
# What the images do not cover (CID 6315, where it is one of the findings on the quality of a series)
SERIES_QUALITY = Code("130550", "DCM", "Imaging Series Quality")
COVERAGE_INCOMPLETE = Code("130576", "DCM", "Anatomy coverage incomplete")
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
PRIOR_REPORT = Code("122075", "DCM", "Prior report for current patient")
STUDY_DATE = Code("111060", "DCM", "Study Date")
DESCRIPTION_OF_CHANGE = Code("111021", "DCM", "Description of Change")
IMAGE_ARTIFACT = Code("111207", "DCM", "Image artifact(s)")
PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
ABNORMAL_STRUCTURE = Code("49755003", "SCT", "Morphologically Abnormal Structure")
LESION = Code("52988006", "SCT", "Lesion")
UPPER_ZONE = Code("281392002", "SCT", "Upper zone of lung")
MIDDLE_ZONE = Code("281393007", "SCT", "Middle zone of lung")
LOWER_ZONE = Code("281394001", "SCT", "Lower zone of lung")
TOPOGRAPHICAL_MODIFIER = Code("106233006", "SCT", "Topographical modifier")
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

LIDC_CONVERSION = "RadLex, as in the published DICOM conversion of LIDC-IDRI (Fedorov et al. 2020, doi:10.1002/mp.14445)"
OUTSIDE_PS3_16: dict[Code, str] = {
    MELANOMA: "SNOMED CT, Malignant melanoma of skin (disorder)",
    BASAL_CELL_CARCINOMA: "SNOMED CT, Basal cell carcinoma of skin (disorder)",
    MELANOCYTIC_NEVUS: "SNOMED CT, Melanocytic nevus (disorder)",
    LARGE_CELL_CARCINOMA_OF_LUNG: "SNOMED CT, Large cell carcinoma of lung (disorder)",
    CIRCUMSCRIBED_MARGIN: LIDC_CONVERSION,
    INDISTINCT_MARGIN: LIDC_CONVERSION,
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


def published_codes() -> tuple[Code, ...]:
    """Return every published code that is a constant of this module."""
    return tuple(value for value in globals().values() if isinstance(value, Code) and value.scheme != PRIVATE_SCHEME)


def find_code(value: str, scheme: str) -> Code | None:
    """Return the published or private code with that value and scheme; None where there is none."""
    private = tuple(entry.code for entry in PRIVATE)
    return next((code for code in (*published_codes(), *private) if (code.value, code.scheme) == (value, scheme)), None)
