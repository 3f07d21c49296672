"""Where a finding is, as the report says it: its segment, a point in the frame of reference or on the image, and its site."""

import numpy as np

from core import codes
from core.records import Code, Finding
from core.states import ResultKind
from imaging.masks import unpack_mask
from imaging.photograph.read import Photograph
from workers.encode.analysis import Analysis
from workers.encode.anatomy import SIDES
from workers.encode.sr import concept_names, content_items
from workers.encode.sr.content_items import INFERRED, MODIFIED, SELECTED, Item, Reference
from workers.encode.sr.image_library import image_reference


def segment(analysis: Analysis, finding: Finding, number: int) -> tuple[Item, ...]:
    """The finding's segment and what it was made on, where the report's destinations receive it; else nothing.

    Of a volume as a whole (TID 1411 row 7); of a photograph with its frame (TID 1410 row 10): there each segment has one, its own.
    """
    for one in analysis.companions:
        index = one.segments.get(number) if one.kind is ResultKind.SEG else None
        if index is None:
            continue
        if analysis.frame_of_reference_uid:
            whole = content_items.image(concept_names.REFERENCED_SEGMENT, (one.sop_class_uid, one.sop_instance_uid, None), segment=index)
            return whole, content_items.unique(codes.SOURCE_SERIES, analysis.source.series_instance_uid)
        # no segment number beside a frame number (PS3.3 table 10-3)
        frame = content_items.image(concept_names.REFERENCED_FRAME, (one.sop_class_uid, one.sop_instance_uid, [index]))
        return frame, content_items.image(codes.SOURCE_IMAGE, image_reference(analysis, finding))
    return ()


def on_image(analysis: Analysis, finding: Finding) -> tuple[tuple[float, float], Reference] | None:
    """(column, row) on the image that the finding is seen on, and the reference to it; of an outline on a photograph, its middle."""
    place = finding.image_point
    if place is None and finding.mask is not None and isinstance(analysis.item, Photograph):
        rows, columns = np.nonzero(unpack_mask(finding.mask)[0])
        _, top, left = finding.mask.origin
        place = (left + float(columns.mean()) + 0.5, top + float(rows.mean()) + 0.5)  # PS3.3 C.18.6: the first pixel's middle is 0.5, 0.5
    if place is None or not finding.sop_instance_uid:
        return None
    return place, image_reference(analysis, finding)


def point(analysis: Analysis, finding: Finding) -> Item | None:
    """A point on the image where the finding has one, else in the frame of reference.

    On the image first: viewers that read the other as well go to the slice and draw it there; docs/viewers.md.
    """
    seen = on_image(analysis, finding)
    return (
        _on(seen, concept_names.IMAGE_REGION, content_items.CONTAINS)
        if seen is not None
        else _in_space(analysis, finding, concept_names.IMAGE_REGION)
    )


def coordinates(analysis: Analysis, finding: Finding) -> Item | None:
    """The same point as what a number was inferred from (TID 320)."""
    seen = on_image(analysis, finding)
    return _on(seen, codes.SOURCE, INFERRED) if seen is not None else _in_space(analysis, finding, codes.SOURCE, INFERRED)


def centre(analysis: Analysis, finding: Finding) -> Item | None:
    """The point in the frame of reference beside that on the image. TID 1410 takes one region: its name makes it an extension."""
    return None if on_image(analysis, finding) is None else _in_space(analysis, finding, codes.CENTER)


def _on(seen: tuple[tuple[float, float], Reference], name: Code, relation: str) -> Item:
    return content_items.point(name, seen[0], content_items.image(codes.SOURCE, seen[1], SELECTED), relation)


def _in_space(analysis: Analysis, finding: Finding, name: Code, relation: str = content_items.CONTAINS) -> Item | None:
    if finding.position_mm is None or not analysis.frame_of_reference_uid:
        return None
    return content_items.point_in_space(name, finding.position_mm, analysis.frame_of_reference_uid, relation)


def sites(analysis: Analysis, finding: Finding) -> list[Item]:
    """The organ or region, with the side where the images' header says it."""
    anatomy = analysis.source.anatomy
    site = anatomy.site(finding.site)
    if site is None:
        return []
    side = SIDES.get(anatomy.side)
    sided = () if side is None else (content_items.coded(concept_names.LATERALITY, side, MODIFIED),)
    return [content_items.coded(concept_names.FINDING_SITE, site, MODIFIED).having(*sided)]
