"""The location of a finding in the report: its segment, a point on the image or in the frame of reference, and its site."""

import numpy as np

from core.concepts import codes
from core.policy.admission import WHOLE_SLIDE
from core.records import Code, Finding
from core.states import ResultKind
from imaging.masks import unpack_mask
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.sr import concept_names, content_items
from workers.encode.sr.content_items import HAS_CONCEPT_MOD, INFERRED_FROM, SELECTED_FROM, ContentItem, Reference
from workers.encode.sr.image_library import image_reference


def segment_items(analysis: Analysis, finding: Finding, number: int) -> tuple[ContentItem, ...]:
    """The finding's segment and its source, if the report's destinations receive the segmentation; else ().

    A segment of a volume is referenced as a whole (TID 1411 row 7), that of a photograph by its frame (TID 1410 row 10): there each
    segment has one frame of its own.
    """
    for related in analysis.related_objects:
        index = related.segments.get(number) if related.kind is ResultKind.SEG else None
        if index is None:
            continue
        names = related.sop_class_uid, related.sop_instance_uid
        if analysis.frame_of_reference_uid:
            segment = content_items.reference_item(concept_names.REFERENCED_SEGMENT, (*names, None), segment=index)
            return segment, content_items.uid_item(codes.SOURCE_SERIES, analysis.source.series_instance_uid)
        # A reference has either a frame number or a segment number (PS3.3 table 10-3).
        frame = content_items.reference_item(concept_names.REFERENCED_FRAME, (*names, [index]))
        return frame, content_items.reference_item(codes.SOURCE_IMAGE, image_reference(analysis, finding))
    return ()


def point_on_image(analysis: Analysis, finding: Finding) -> tuple[tuple[float, float], Reference] | None:
    """(column, row) on the image that the finding is seen on, and the reference to it; for an outline on a photograph its centre."""
    point = finding.image_point
    if point is None and finding.mask is not None and isinstance(analysis.item, Photograph):
        rows, columns = np.nonzero(unpack_mask(finding.mask)[0])
        _, top, left = finding.mask.origin
        # PS3.3 C.18.6: the centre of the first pixel is 0.5, 0.5.
        point = (left + float(columns.mean()) + 0.5, top + float(rows.mean()) + 0.5)
    if point is None or not finding.sop_instance_uid:
        return None
    return point, image_reference(analysis, finding)


def region_item(analysis: Analysis, finding: Finding) -> ContentItem | None:
    """Image Region: a point on the image if the finding has one, else in the frame of reference; None if it has neither.

    The point on the image comes first because viewers that also read the other one go to the slice and draw it there
    (docs/viewers.md).
    """
    return _point_item(analysis, finding, concept_names.IMAGE_REGION, content_items.CONTAINS)


def inference_item(analysis: Analysis, finding: Finding) -> ContentItem | None:
    """The same point as the source that a number was inferred from (TID 320)."""
    return _point_item(analysis, finding, codes.SOURCE, INFERRED_FROM)


def _point_item(analysis: Analysis, finding: Finding, name: Code, relation: str) -> ContentItem | None:
    on_image = point_on_image(analysis, finding)
    if on_image is None:
        return _space_point(analysis, finding, name, relation)
    point, reference = on_image
    image = content_items.reference_item(codes.SOURCE, reference, SELECTED_FROM)
    return content_items.image_point_item(name, point, image, relation, on_matrix=reference[0] == WHOLE_SLIDE)


def centre_item(analysis: Analysis, finding: Finding) -> ContentItem | None:
    """The point in the frame of reference beside that on the image; None if there is only one of them.

    TID 1410 takes one region. This second point has another concept name, as an extension of the template.
    """
    return None if point_on_image(analysis, finding) is None else _space_point(analysis, finding, codes.CENTER, content_items.CONTAINS)


def _space_point(analysis: Analysis, finding: Finding, name: Code, relation: str) -> ContentItem | None:
    if finding.position_mm is None or not analysis.frame_of_reference_uid:
        return None
    return content_items.space_point_item(name, finding.position_mm, analysis.frame_of_reference_uid, relation)


def site_items(analysis: Analysis, finding: Finding) -> list[ContentItem]:
    """The organ or region, with the part of it that the model names, and the side (`Anatomy.finding_side`)."""
    anatomy = analysis.source.anatomy
    site = anatomy.finding_site(finding.site)
    if site is None:
        return []
    side = anatomy.finding_side(finding.side)
    named = ((concept_names.LATERALITY, side), (concept_names.TOPOGRAPHICAL_MODIFIER, finding.zone))
    modifiers = [content_items.code_item(name, value, HAS_CONCEPT_MOD) for name, value in named if value is not None]
    return [content_items.code_item(concept_names.FINDING_SITE, site, HAS_CONCEPT_MOD).with_children(*modifiers)]
