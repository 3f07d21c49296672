"""Names of result objects: UIDs, series numbers, and what each kind of object is called."""

from core import codes
from core.records import Code
from core.states import ModelStatus, ResultKind
from core.uids import result_uid
from workers.encode.analysis import Analysis

MAX_LO = 64  # characters of VR LO
# One series for each kind, numbered above all that a scanner numbers, the report first.
SERIES_NUMBERS = {
    ResultKind.SR: 9901,
    ResultKind.SEG: 9902,
    ResultKind.HEATMAP: 9903,
    ResultKind.PARAMETRIC_MAP: 9904,
    ResultKind.KEY_IMAGES: 9905,
    ResultKind.PDF: 9906,
    ResultKind.REJECTION: 9907,
    ResultKind.ASSESSMENT: 9908,
}
# Series Description Code Sequence, for which no CID is defined. A report names the other objects of its result by the same codes.
SERIES_CODES: dict[ResultKind, Code] = {
    ResultKind.SR: codes.MEASUREMENT_REPORT,
    ResultKind.SEG: codes.SEGMENTATION,
    ResultKind.HEATMAP: codes.SALIENCY,
    ResultKind.PARAMETRIC_MAP: codes.SALIENCY,
    ResultKind.KEY_IMAGES: codes.KEY_IMAGES,
    ResultKind.PDF: codes.IMAGING_REPORT,
    ResultKind.REJECTION: codes.REJECTED,
    ResultKind.ASSESSMENT: codes.MEASUREMENT_REPORT,
}


def object_uid(analysis: Analysis, kind: str, profile: str) -> str:
    """The UID of an object or series of this analysis; the same when the analysis is repeated after a fault."""
    return result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, kind, profile)


def is_research(analysis: Analysis) -> bool:
    """Whether the model is for research only."""
    return analysis.identity.status == ModelStatus.RESEARCH


def series_description(analysis: Analysis) -> str:
    """Model and version, and RESEARCH for a research model, in 64 characters."""
    status = " RESEARCH" if is_research(analysis) else ""
    return f"{analysis.identity.name} {analysis.identity.version}"[: MAX_LO - len(status)] + status
