"""Where a finding is, as the report says it: its segment, a point in the frame of reference or on the image, and its site."""

import highdicom.sr as hdsr
import numpy as np
from highdicom.sr.enum import RelationshipTypeValues

from core import codes
from core.records import Finding
from core.states import ReportKind
from imaging.masks import unpack
from imaging.photograph import Photograph
from workers.encode.analysis import Analysis
from workers.encode.anatomy import SIDES
from workers.encode.library import concept, image_reference


def segment(analysis: Analysis, finding: Finding, number: int) -> hdsr.ReferencedSegment | hdsr.ReferencedSegmentationFrame | None:
    """The finding's segment, where the report's destinations receive it.

    Of a volume as a whole (TID 1411 row 7); of a photograph with its frame (TID 1410 row 10): there each segment has one, its own.
    """
    for one in analysis.companions:
        index = one.segments.get(number) if one.kind is ReportKind.SEG else None
        if index is None:
            continue
        if analysis.frame_of_reference_uid:
            source = hdsr.SourceSeriesForSegmentation(analysis.source.series_instance_uid)
            source.ConceptNameCodeSequence = [concept(codes.SOURCE_SERIES)]  # highdicom's meaning is spelt in another way than PS3.16's
            return hdsr.ReferencedSegment(one.sop_class_uid, one.sop_instance_uid, index, source_series=source)
        image = hdsr.SourceImageForSegmentation(*image_reference(analysis, finding))
        image.ConceptNameCodeSequence = [concept(codes.SOURCE_IMAGE)]
        frame = hdsr.ReferencedSegmentationFrame(one.sop_class_uid, one.sop_instance_uid, index, index, source_image=image)
        del frame[0].ReferencedSOPSequence[0].ReferencedSegmentNumber  # not beside a frame number (PS3.3 table 10-3)
        return frame
    return None


def on_image(analysis: Analysis, finding: Finding) -> tuple[tuple[float, float], tuple[str, str, list[int] | None]] | None:
    """(column, row) on the image that the finding is seen on, and the reference to it; of an outline on a photograph, its middle."""
    place = finding.image_point
    if place is None and finding.mask is not None and isinstance(analysis.item, Photograph):
        rows, columns = np.nonzero(unpack(finding.mask)[0])
        _, top, left = finding.mask.origin
        place = (left + float(columns.mean()) + 0.5, top + float(rows.mean()) + 0.5)  # PS3.3 C.18.6: the first pixel's middle is 0.5, 0.5
    if place is None or not finding.sop_instance_uid:
        return None
    return place, image_reference(analysis, finding)


def point(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion | hdsr.ImageRegion3D | None:
    """A point on the image where the finding has one, else in the frame of reference.

    On the image first: viewers that read the other as well go to the slice and draw it there; docs/viewers.md.
    """
    seen = on_image(analysis, finding)
    if seen is not None:
        return hdsr.ImageRegion("POINT", np.array([seen[0]], dtype=np.float64), source_image=hdsr.SourceImageForRegion(*seen[1]))
    return _in_space(analysis, finding)


def coordinates(analysis: Analysis, finding: Finding) -> hdsr.CoordinatesForMeasurement | hdsr.CoordinatesForMeasurement3D | None:
    """The same point as what a number was inferred from (TID 320)."""
    seen = on_image(analysis, finding)
    if seen is not None:
        source = hdsr.SourceImageForRegion(*seen[1])
        return hdsr.CoordinatesForMeasurement("POINT", np.array([seen[0]], dtype=np.float64), source_image=source)
    there = _in_space(analysis, finding)
    return None if there is None else hdsr.CoordinatesForMeasurement3D("POINT", there.value, analysis.frame_of_reference_uid)


def centre(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion3D | None:
    """The point in the frame of reference beside that on the image. TID 1410 takes one region: its name makes it an extension."""
    there = _in_space(analysis, finding)
    if there is None or on_image(analysis, finding) is None:
        return None
    there.ConceptNameCodeSequence = [concept(codes.CENTER)]
    there.RelationshipType = RelationshipTypeValues.CONTAINS.value
    return there


def _in_space(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion3D | None:
    if finding.position_mm is None or not analysis.frame_of_reference_uid:
        return None
    return hdsr.ImageRegion3D("POINT", np.array([finding.position_mm], dtype=np.float64), analysis.frame_of_reference_uid)


def sites(analysis: Analysis, finding: Finding) -> list[hdsr.FindingSite] | None:
    """The organ or region, with the side where the images' header says it."""
    anatomy = analysis.source.anatomy
    site = anatomy.site(finding.site)
    if site is None:
        return None
    side = SIDES.get(anatomy.side)
    return [hdsr.FindingSite(concept(site), laterality=concept(side) if side is not None else None)]
