"""The images that findings are seen on, as a Key Object Selection (PS3.3 A.35.4, TID 2010), which viewers show first.

Titled "Of Interest" (113000, DCM), the most general title of CID 7010. It refers to source images only, because the destination has
them; the other objects of the result may go elsewhere.
"""

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from core import codes
from core.records import ResultObject
from core.states import Outcome, ResultKind
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import new_result_dataset
from workers.encode.part10_file import encode_object
from workers.encode.result_identity import is_research
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ContentItem, Reference
from workers.encode.sr.content_tree import device_observer, referenced_images
from workers.encode.sr.evidence import evidence_item
from workers.encode.sr.image_library import image_reference

PROFILE = "key_images"


def encode(analysis: Analysis) -> ResultObject | None:
    """The selection as a Part 10 file; None if no finding names an image.

    Raises
    ------
    EncodingError
        A finding refers to an image outside the unit.
    """
    if analysis.prediction.outcome is not Outcome.FINDINGS:
        return None
    references = [image_reference(analysis, finding) for finding in analysis.prediction.findings if finding.sop_instance_uid]
    if not references:
        return None
    kind = ResultKind.KEY_IMAGES
    document = new_result_dataset(analysis, kind, PROFILE, sop_class_uid=KeyObjectSelectionDocumentStorage, modality="KO")
    document.ReferencedPerformedProcedureStepSequence = []
    if analysis.source.requests:
        document.ReferencedRequestSequence = list(analysis.source.requests)
    document.CurrentRequestedProcedureEvidenceSequence = [_evidence(analysis)]
    tree = content_items.key_object_root(codes.OF_INTEREST, [*device_observer(analysis), _description(analysis), *_image_items(references)])
    return encode_object(document, kind=kind, profile=PROFILE, source_character_set=analysis.source.character_set, content_tree=tree)


def _description(analysis: Analysis) -> ContentItem:
    """TID 2010 row 10: why these images were selected, and by which model."""
    findings = analysis.prediction.findings
    status = f"{finding_text.RESEARCH}. " if is_research(analysis) else ""
    headlines = "; ".join(finding_text.headline(finding, number) for number, finding in enumerate(findings, 1))
    found = f"{status}Images with findings of {finding_text.model_line(analysis)}: {headlines}."
    text = f"{found} {finding_text.NOT_ALONE} {analysis.identity.not_for}"
    return content_items.text_item(codes.KEY_OBJECT_DESCRIPTION, text)


def _image_items(references: list[Reference]) -> list[ContentItem]:
    """Each image once, with all frames that findings are on. Row 8 of the template has no concept name."""
    frames: dict[tuple[str, str], list[int]] = {}
    for sop_class_uid, sop_instance_uid, numbers in references:
        frames.setdefault((sop_class_uid, sop_instance_uid), []).extend(numbers or [])
    return [content_items.reference_item(None, (*names, sorted(set(numbers)) or None)) for names, numbers in frames.items()]


def _evidence(analysis: Analysis) -> Dataset:
    """The images that are referred to."""
    images = [analysis.source.image(uid) for uid in referenced_images(analysis.prediction.findings)]
    references = {image.sop_instance_uid: image.sop_class_uid for image in images}
    return evidence_item(analysis.source.study_instance_uid, {analysis.source.series_instance_uid: references})
