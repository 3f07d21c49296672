"""The image library (TID 1600), by hand: highdicom's refuses Dermoscopic Photography and asks for elements that images lack.

Only images that findings refer to are listed: validators take minutes for a whole CT series. All inputs are in the evidence.
"""

from functools import lru_cache

import highdicom.sr as hdsr
from highdicom.sr.enum import RelationshipTypeValues

from core import codes
from core.records import Code, Finding
from workers.encode.analysis import Analysis

# Dermoscopy (DMS) is in CID 29 since 2020 only; validators with an older CID 29 refuse it, and the row is optional.
MODALITIES = {"CT": codes.MODALITY_CT, "XC": codes.MODALITY_PHOTOGRAPHY}
ACQUISITION = RelationshipTypeValues.HAS_ACQ_CONTEXT


@lru_cache(512)
def concept(code: Code) -> hdsr.CodedConcept:
    """One item for all places that the code stands in: a report has hundreds, of some fifty codes. Nothing may be added to it."""
    return hdsr.CodedConcept(code.value, code.scheme, code.meaning)


def text(name: Code, value: str) -> hdsr.TextContentItem:
    return hdsr.TextContentItem(concept(name), value, RelationshipTypeValues.CONTAINS)


def image_reference(analysis: Analysis, finding: Finding) -> tuple[str, str, list[int] | None]:
    """(SOP class, SOP instance, frame numbers) of the image that a finding is seen on; frames for multi-frame images only."""
    image = analysis.source.image(finding.sop_instance_uid)
    frames = [finding.frame] if finding.frame is not None and image.number_of_frames > 1 else None
    return image.sop_class_uid, image.sop_instance_uid, frames


def image_library(analysis: Analysis) -> hdsr.ContainerContentItem | None:
    """TID 1600 with one group; None where no finding refers to an image."""
    seen = dict.fromkeys(finding.sop_instance_uid for finding in analysis.prediction.findings if finding.sop_instance_uid)
    if not seen:
        return None
    group = _container(codes.IMAGE_LIBRARY_GROUP)
    modality = MODALITIES.get(analysis.source.modality)
    if modality is not None:
        group.ContentSequence.append(hdsr.CodeContentItem(concept(codes.MODALITY), concept(modality), ACQUISITION))
    if analysis.frame_of_reference_uid:
        uid = analysis.frame_of_reference_uid
        group.ContentSequence.append(hdsr.UIDRefContentItem(concept(codes.FRAME_OF_REFERENCE), uid, ACQUISITION))
    for sop_instance_uid in seen:
        group.ContentSequence.append(_entry(analysis, sop_instance_uid))
    library = _container(codes.IMAGE_LIBRARY)
    library.ContentSequence.append(group)
    return library


def _container(name: Code) -> hdsr.ContainerContentItem:
    item = hdsr.ContainerContentItem(concept(name), relationship_type=RelationshipTypeValues.CONTAINS)
    item.ContentSequence = hdsr.ContentSequence()
    return item


def _entry(analysis: Analysis, sop_instance_uid: str) -> hdsr.ImageContentItem:
    """TID 1601: an image with its size. The row has no concept name."""
    image = analysis.source.image(sop_instance_uid)
    entry = hdsr.ImageContentItem(
        concept(codes.SOURCE), image.sop_class_uid, image.sop_instance_uid, relationship_type=RelationshipTypeValues.CONTAINS
    )
    sizes = [(codes.PIXEL_ROWS, image.rows), (codes.PIXEL_COLUMNS, image.columns)]
    known = [
        hdsr.NumContentItem(concept(name), size, concept(codes.PIXELS), relationship_type=ACQUISITION)
        for name, size in sizes
        if size is not None
    ]
    if known:
        entry.ContentSequence = hdsr.ContentSequence()
        entry.ContentSequence.extend(known)
    return entry
