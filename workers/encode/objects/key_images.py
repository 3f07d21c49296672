"""The images that findings are seen on, as a Key Object Selection (PS3.3 A.35.4, template TID 2010): viewers show them first.

Titled "Of Interest" (113000, DCM), the title of CID 7010 that claims no use. It refers to source images only, which the
destination has: the other objects of a result may go elsewhere.
"""

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from core import codes
from core.records import ResultObject
from core.states import Outcome, ResultKind
from workers.encode import words
from workers.encode.analysis import Analysis
from workers.encode.common import head, is_research, part10
from workers.encode.planes import reference
from workers.encode.sr import content_items
from workers.encode.sr.content import observer
from workers.encode.sr.content_items import Item, Reference
from workers.encode.sr.image_library import image_reference

PROFILE = "key_images"


def encode(analysis: Analysis) -> ResultObject | None:
    """The selection as a Part 10 file; None where no finding names an image.

    Raises
    ------
    EncodingError
        A finding refers to an image outside the unit.
    """
    if analysis.prediction.outcome is not Outcome.FINDINGS:
        return None
    seen = [image_reference(analysis, finding) for finding in analysis.prediction.findings if finding.sop_instance_uid]
    if not seen:
        return None
    kind = ResultKind.KEY_IMAGES
    document = head(analysis, kind, PROFILE, sop_class_uid=KeyObjectSelectionDocumentStorage, modality="KO")
    document.ReferencedPerformedProcedureStepSequence = []
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(analysis)]
    tree = content_items.selection(codes.OF_INTEREST, [*observer(analysis), _description(analysis), *_images(seen)])
    return ResultObject(
        kind=kind,
        profile=PROFILE,
        sop_class_uid=str(KeyObjectSelectionDocumentStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set, tree),
    )


def _description(analysis: Analysis) -> Item:
    """TID 2010 row 10: why these images, in words that say whose choice it is."""
    findings = analysis.prediction.findings
    status = f"{words.RESEARCH}. " if is_research(analysis) else ""
    said = "; ".join(words.headline(finding, number) for number, finding in enumerate(findings, 1))
    text = f"{status}Images with findings of {words.model_line(analysis)}: {said}. {words.NOT_ALONE} {analysis.identity.not_for}"
    return content_items.text(codes.KEY_OBJECT_DESCRIPTION, text)


def _images(seen: list[Reference]) -> list[Item]:
    """Each image once, with all the frames that findings are on; row 8 of the template has no concept name."""
    frames: dict[tuple[str, str], list[int]] = {}
    for sop_class_uid, sop_instance_uid, numbers in seen:
        frames.setdefault((sop_class_uid, sop_instance_uid), []).extend(numbers or [])
    return [content_items.image(None, (*names, sorted(set(numbers)) or None)) for names, numbers in frames.items()]


def _evidence(analysis: Analysis) -> Dataset:
    """The images that are referred to, by study and series (PS3.3 C.17.2.3)."""
    named = dict.fromkeys(finding.sop_instance_uid for finding in analysis.prediction.findings if finding.sop_instance_uid)
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedSOPSequence = [reference(analysis.source.image(uid)) for uid in named]
    study.StudyInstanceUID = analysis.source.study_instance_uid
    study.ReferencedSeriesSequence = [series]
    return study
