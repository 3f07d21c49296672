"""Names of result objects: UIDs, series numbers, and what each kind of object is called."""

import re

from core.concepts import codes
from core.records import Code, ModelIdentity
from core.states import ModelStatus, ResultKind
from core.uids import result_uid
from workers.encode.analysis import Analysis

MAX_LO = 64  # characters of VR LO
MODALITIES = frozenset({"CT", "MR", "PT", "DMS", "XC", "US", "DX", "CR", "MG"})
# What each kind is called in a list of series.
SERIES_WORDS = {
    ResultKind.SR: "report",
    ResultKind.SEG: "segmentation",
    ResultKind.HEATMAP: "pictures",
    ResultKind.PARAMETRIC_MAP: "heat map",
    ResultKind.KEY_IMAGES: "key images",
    ResultKind.PDF: "report as PDF",
    ResultKind.REJECTION: "outdated objects",
    ResultKind.ASSESSMENT: "assessment",
}
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


def series_description(analysis: Analysis, kind: ResultKind) -> str:
    """What the model looks for, which object this is, and whether the model is for research, in 64 characters."""
    what = f": {SERIES_WORDS[kind]}" + (" (research)" if is_research(analysis) else "")
    return f"AI {subject_of(analysis.identity)}"[: MAX_LO - len(what)].rstrip() + what


def subject_of(identity: ModelIdentity) -> str:
    """What a model looks for, in a few words: the beginning of its title, as "lung nodules".

    A title that begins with something else than the model's name does is not used, because the words have to tell models apart.
    """
    words = [word for word in identity.name.split("_") if word.upper() not in MODALITIES and not any(map(str.isdigit, word))]
    begin = re.split(r",| on | of |:", identity.title)[0].strip()
    if not any(word[:6].lower() in begin.lower() for word in words if word):
        begin = " ".join(words) or identity.name
    return begin if begin[:2].isupper() else begin[:1].lower() + begin[1:]
