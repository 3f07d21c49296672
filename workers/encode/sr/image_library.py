"""The image library of a report (TID 1600).

highdicom's library refuses Dermoscopic Photography and requires elements that images may lack. Only images that findings refer to are
listed, because validators take minutes for a whole CT series; the evidence of the document lists all images.
"""

from functools import lru_cache

from highdicom.sr import CodedConcept

from core.concepts import codes
from core.policy.admission import WHOLE_SLIDE
from core.records import Code, Finding
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.sr import content_items
from workers.encode.sr.content_items import HAS_ACQ_CONTEXT, ContentItem, Reference

# Dermoscopy (DMS) is in CID 29 only since 2020. Validators with an older CID 29 refuse it, and the row is optional.
MODALITIES = {"CT": codes.MODALITY_CT, "XC": codes.MODALITY_PHOTOGRAPHY}


@lru_cache(512)
def coded_concept(code: Code) -> CodedConcept:
    """A code for highdicom. The same object is used in all places, so nothing may be added to it."""
    return CodedConcept(code.value, code.scheme, code.meaning)


def image_reference(analysis: Analysis, finding: Finding) -> Reference:
    """The image that a finding is seen on; with its frame if the image is multi-frame.

    A reference without a frame is to all frames (PS3.3 10.3), of which a photograph shows the first. A point without a frame is on the
    first, too, as a clinician marks it; on a whole slide it is in the Total Pixel Matrix, which all frames make up.
    """
    image = analysis.source.image(finding.sop_instance_uid)
    on_one_frame = isinstance(analysis.item, Photograph) or (finding.image_point is not None and image.sop_class_uid != WHOLE_SLIDE)
    frame = 1 if finding.frame is None and on_one_frame else finding.frame
    frames = [frame] if frame is not None and image.number_of_frames > 1 else None
    return image.sop_class_uid, image.sop_instance_uid, frames


def image_library(analysis: Analysis) -> ContentItem | None:
    """TID 1600 with one group; None if no finding refers to an image."""
    uids = dict.fromkeys(finding.sop_instance_uid for finding in analysis.prediction.findings if finding.sop_instance_uid)
    if not uids:
        return None
    group = []
    modality = MODALITIES.get(analysis.source.modality)
    if modality is not None:
        group.append(content_items.code_item(codes.MODALITY, modality, HAS_ACQ_CONTEXT))
    if analysis.frame_of_reference_uid:
        group.append(content_items.uid_item(codes.FRAME_OF_REFERENCE, analysis.frame_of_reference_uid, HAS_ACQ_CONTEXT))
    group += [_entry(analysis, uid) for uid in uids]
    return content_items.container_item(codes.IMAGE_LIBRARY, [content_items.container_item(codes.IMAGE_LIBRARY_GROUP, group)])


def _entry(analysis: Analysis, sop_instance_uid: str) -> ContentItem:
    """TID 1601: an image with its size."""
    image = analysis.source.image(sop_instance_uid)
    sizes = [(codes.PIXEL_ROWS, image.rows), (codes.PIXEL_COLUMNS, image.columns)]
    descriptors = [content_items.number_item(name, size, codes.PIXELS, HAS_ACQ_CONTEXT) for name, size in sizes if size is not None]
    return content_items.reference_item(codes.SOURCE, (image.sop_class_uid, image.sop_instance_uid, None)).with_children(*descriptors)
