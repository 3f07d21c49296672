"""The image library (TID 1600), by hand: highdicom's refuses Dermoscopic Photography and asks for elements that images lack.

Only images that findings refer to are listed: validators take minutes for a whole CT series. All inputs are in the evidence.
"""

from functools import lru_cache

from highdicom.sr import CodedConcept

from core import codes
from core.records import Code, Finding
from workers.encode.analysis import Analysis
from workers.encode.sr import content_items
from workers.encode.sr.content_items import ACQUIRED, Item, Reference

# Dermoscopy (DMS) is in CID 29 since 2020 only; validators with an older CID 29 refuse it, and the row is optional.
MODALITIES = {"CT": codes.MODALITY_CT, "XC": codes.MODALITY_PHOTOGRAPHY}


@lru_cache(512)
def concept(code: Code) -> CodedConcept:
    """One item for all places of an object that the code stands in. Nothing may be added to it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def image_reference(analysis: Analysis, finding: Finding) -> Reference:
    """(SOP class, SOP instance, frame numbers) of the image that a finding is seen on; frames for multi-frame images only."""
    image = analysis.source.image(finding.sop_instance_uid)
    frames = [finding.frame] if finding.frame is not None and image.number_of_frames > 1 else None
    return image.sop_class_uid, image.sop_instance_uid, frames


def image_library(analysis: Analysis) -> Item | None:
    """TID 1600 with one group; None where no finding refers to an image."""
    seen = dict.fromkeys(finding.sop_instance_uid for finding in analysis.prediction.findings if finding.sop_instance_uid)
    if not seen:
        return None
    group = []
    modality = MODALITIES.get(analysis.source.modality)
    if modality is not None:
        group.append(content_items.coded(codes.MODALITY, modality, ACQUIRED))
    if analysis.frame_of_reference_uid:
        group.append(content_items.unique(codes.FRAME_OF_REFERENCE, analysis.frame_of_reference_uid, ACQUIRED))
    group += [_entry(analysis, sop_instance_uid) for sop_instance_uid in seen]
    return content_items.container(codes.IMAGE_LIBRARY, [content_items.container(codes.IMAGE_LIBRARY_GROUP, group)])


def _entry(analysis: Analysis, sop_instance_uid: str) -> Item:
    """TID 1601: an image with its size. The row has no concept name."""
    image = analysis.source.image(sop_instance_uid)
    sizes = [(codes.PIXEL_ROWS, image.rows), (codes.PIXEL_COLUMNS, image.columns)]
    known = [content_items.number(name, size, codes.PIXELS, ACQUIRED) for name, size in sizes if size is not None]
    return content_items.image(codes.SOURCE, (image.sop_class_uid, image.sop_instance_uid, None)).having(*known)
