"""The images that findings are seen on, as a Key Object Selection (PS3.3 A.35.4, TID 2010), which viewers show first.

Titled "Of Interest" (113000, DCM), the most general title of CID 7010. It refers to source images only, because the destination has
them; the other objects of the result may go elsewhere.
"""

from core.concepts import codes
from core.records import ResultObject
from core.states import Outcome, ResultKind
from workers.encode import finding_text
from workers.encode.analysis import Analysis
from workers.encode.objects.key_object import encode_key_object
from workers.encode.result_identity import is_research
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ContentItem, Reference
from workers.encode.sr.content_tree import referenced_images
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
    images = [analysis.source.image(uid) for uid in referenced_images(analysis.prediction.findings)]
    selected = {analysis.source.series_instance_uid: {image.sop_instance_uid: image.sop_class_uid for image in images}}
    items = [_description(analysis), *_image_items(references)]
    return encode_key_object(analysis, ResultKind.KEY_IMAGES, PROFILE, codes.OF_INTEREST, items, selected)


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
