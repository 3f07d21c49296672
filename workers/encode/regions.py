"""Where a finding is, as the report says it: its segment, a point in the frame of reference or on the image, and its site."""

import highdicom.sr as hdsr
import numpy as np
from highdicom.sr.enum import RelationshipTypeValues

from core import codes
from core.records import Finding
from core.states import ReportKind
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


def point(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion | hdsr.ImageRegion3D | None:
    """A point in the frame of reference where there is one, else a point on the image."""
    if finding.position_mm is not None and analysis.frame_of_reference_uid:
        return hdsr.ImageRegion3D("POINT", np.array([finding.position_mm], dtype=np.float64), analysis.frame_of_reference_uid)
    if finding.image_point is not None and finding.sop_instance_uid:
        source = hdsr.SourceImageForRegion(*image_reference(analysis, finding))
        return hdsr.ImageRegion("POINT", np.array([finding.image_point], dtype=np.float64), source_image=source)
    return None


def centre(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion | hdsr.ImageRegion3D | None:
    """The point beside a segment. The templates take one region: so it stands under a name of its own, as an extension of theirs."""
    item = point(analysis, finding)
    if item is not None:
        item.ConceptNameCodeSequence = [concept(codes.CENTER)]
        item.RelationshipType = RelationshipTypeValues.CONTAINS.value
    return item


def sites(analysis: Analysis, finding: Finding) -> list[hdsr.FindingSite] | None:
    """The organ or region, with the side where the images' header says it."""
    anatomy = analysis.source.anatomy
    site = anatomy.site(finding.site)
    if site is None:
        return None
    side = SIDES.get(anatomy.side)
    return [hdsr.FindingSite(concept(site), laterality=concept(side) if side is not None else None)]
