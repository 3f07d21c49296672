"""The masks of the findings as a binary Segmentation (PS3.3 A.51), one segment a finding, through highdicom.

Of a volume in its frame of reference, slice by slice as the images lie; of a photograph in the photograph's own plane. Only
frames that hold something are written. Where slices have no common frame of reference there is none: a segmentation's
positions would mean nothing.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from core import codes
from core.records import Code, Mask, ResultObject
from core.states import ResultKind
from imaging.masks import check_fits_grid, unpack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.anatomy import SIDES
from workers.encode.common import MAX_LO, add_anatomy, code_item, head, object_uid, part10
from workers.encode.planes import Plane, grid, planes_of, references, stand_ins
from workers.encode.sr.image_library import concept
from workers.encode.sr.tracking import tracking_id, tracking_uid

PROFILE = "seg"
# What is outlined. A diagnosis is the finding's business, not the outline's: what has no entry is a lesion.
OUTLINED: dict[Code, Code] = {codes.NODULE: codes.NODULE}


def segments(analysis: Analysis) -> Mapping[int, int]:
    """The segment number of each finding that has one, by the finding's number; both from 1."""
    item = analysis.item
    if item is None or (isinstance(item, Volume) and not analysis.frame_of_reference_uid):
        return {}
    findings = enumerate(analysis.prediction.findings, 1)
    masked = [number for number, finding in findings if finding.mask is not None and any(finding.mask.bits)]
    return {number: segment for segment, number in enumerate(masked, 1)}


def encode(analysis: Analysis) -> ResultObject | None:
    """The segmentation as a Part 10 file; None where no finding has a mask, or the unit gives it no place.

    Raises
    ------
    ValueError
        A mask leaves the grid of the unit: a defect of the model's code.
    """
    numbers, item = segments(analysis), analysis.item
    if not numbers or item is None:
        return None
    masks = [mask for finding in analysis.prediction.findings if (mask := finding.mask) is not None and any(mask.bits)]
    for mask in masks:
        check_fits_grid(mask, grid(item))
    planes = planes_of(analysis, item, masks)
    document = head(analysis, ResultKind.SEG, PROFILE, sop_class_uid=SegmentationStorage, modality="SEG")
    made = Segmentation(
        source_images=stand_ins(analysis, item, planes),
        pixel_array=pixels(masks, planes, grid(item)),
        segmentation_type="BINARY",
        segment_descriptions=[description(analysis, number, segment) for number, segment in numbers.items()],
        series_instance_uid=document.SeriesInstanceUID,
        series_number=document.SeriesNumber,
        sop_instance_uid=document.SOPInstanceUID,
        instance_number=1,
        manufacturer=document.Manufacturer,
        manufacturer_model_name=document.ManufacturerModelName,
        software_versions=document.SoftwareVersions,
        device_serial_number=document.DeviceSerialNumber,
        content_label="SEGMENTATION",
        content_description=document.SeriesDescription,
    )
    for element in made:
        if element.tag not in document:  # what highdicom would say of time, equipment and patient stays behind
            document.add(element)
    add_anatomy(document, analysis, sides=False)
    document.ContentCreatorName = ""  # no person made it
    if isinstance(item, Photograph):
        document.PatientOrientation = ""  # type 2C where planes have no place in the patient
    references(document, analysis, planes)
    _name_dimensions(document, object_uid(analysis, "dimensions", PROFILE))
    return ResultObject(
        kind=ResultKind.SEG,
        profile=PROFILE,
        sop_class_uid=str(SegmentationStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set),
    )


def pixels(masks: Sequence[Mask], planes: Sequence[Plane], shape: tuple[int, int, int]) -> NDArray[np.unsignedinteger]:
    """(planes, Y, X) of segment numbers; (planes, Y, X, segments) of 0 and 1, many times larger, only where segments share a voxel."""
    _, rows, columns = shape
    index = {plane.z: number for number, plane in enumerate(planes)}
    labels = np.zeros((len(planes), rows, columns), np.uint16 if len(masks) > 255 else np.uint8)
    places = [(segment, index[mask.origin[0] + z], mask.origin[1:], plane)
              for segment, mask in enumerate(masks, 1) for z, plane in enumerate(unpack_mask(mask)) if plane.any()]  # fmt: skip
    for segment, number, (y, x), plane in places:
        box = labels[number, y : y + plane.shape[0], x : x + plane.shape[1]]
        if box[plane].any():
            break
        box[plane] = segment
    else:
        return labels
    stacked = np.zeros((*labels.shape, len(masks)), np.uint8)
    for segment, number, (y, x), plane in places:
        stacked[number, y : y + plane.shape[0], x : x + plane.shape[1], segment - 1] = plane
    return stacked


def description(analysis: Analysis, number: int, segment: int) -> SegmentDescription:
    """Segment ``segment`` is finding ``number``: named as in the report, outlined by the model, in the organ of the finding."""
    finding, identity = analysis.prediction.findings[number - 1], analysis.identity
    site = analysis.source.anatomy.site(finding.site)
    described = SegmentDescription(
        segment_number=segment,
        segment_label=f"{finding.label} {number}"[:MAX_LO],
        segmented_property_category=concept(codes.ABNORMAL_STRUCTURE),
        segmented_property_type=concept(OUTLINED.get(finding.code, codes.LESION)),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=identity.name[:MAX_LO],
            family=concept(codes.ARTIFICIAL_INTELLIGENCE),
            version=identity.version[:MAX_LO],
            source=identity.manufacturer[:MAX_LO],
            parameters={"pipeline sha256": identity.digest},
        ),
        tracking_uid=tracking_uid(analysis, number),
        tracking_id=tracking_id(analysis, number),
        anatomic_regions=[concept(site)] if site is not None else None,
    )
    side = SIDES.get(analysis.source.anatomy.side)
    if site is not None and side is not None:
        region = CodedConcept(site.value, site.scheme, site.meaning)
        region.AnatomicRegionModifierSequence = [code_item(side)]
        described.AnatomicRegionSequence = [region]
    return described


def _name_dimensions(document: Dataset, uid: str) -> None:
    """highdicom draws the Dimension Organization UID; here it is derived."""
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = UID(uid)
