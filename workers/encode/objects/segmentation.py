"""The masks of the findings as a binary Segmentation (PS3.3 A.51), one segment for each finding, through highdicom.

For a volume in its frame of reference, on the planes of the images; for a photograph in its own plane. Only frames with voxels are
written. Without a common frame of reference there is no segmentation, because its positions would have no meaning.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.uid import SegmentationStorage

from core.concepts import codes
from core.records import Code, Mask, ResultObject
from core.states import ResultKind
from imaging.masks import check_fits_grid, unpack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import add_anatomy, code_sequence_item, new_result_dataset
from workers.encode.image_planes import ImagePlane, grid_shape, planes_of_masks, restore_references, substitute_images
from workers.encode.objects.highdicom_objects import add_missing_elements, derive_dimension_uids, identification
from workers.encode.part10_file import encode_object
from workers.encode.pictures.colours import SEGMENTS
from workers.encode.result_identity import MAX_LO
from workers.encode.sr.image_library import coded_concept
from workers.encode.sr.tracking_identifiers import tracking_id, tracking_uid

PROFILE = "seg"
# Segmented Property Type by the code of the finding. Diagnoses are not structures: every other finding outlines a lesion.
PROPERTY_TYPES: dict[Code, Code] = {codes.NODULE: codes.NODULE}


def segment_numbers(analysis: Analysis) -> Mapping[int, int]:
    """The segment number of each finding that has one, by the finding's number; both from 1."""
    item = analysis.item
    if not isinstance(item, Volume | Photograph) or (isinstance(item, Volume) and not analysis.frame_of_reference_uid):
        return {}
    findings = enumerate(analysis.prediction.findings, 1)
    masked = [number for number, finding in findings if finding.mask is not None and any(finding.mask.bits)]
    return {number: segment for segment, number in enumerate(masked, 1)}


def encode(analysis: Analysis) -> ResultObject | None:
    """The segmentation as a Part 10 file; None if no finding has a mask, or the unit has no frame of reference.

    Raises
    ------
    ValueError
        A mask reaches beyond the grid of the unit: a defect of the model's code.
    """
    numbers, item = segment_numbers(analysis), analysis.item
    if not numbers or not isinstance(item, Volume | Photograph):
        return None
    masks = [mask for finding in analysis.prediction.findings if (mask := finding.mask) is not None and any(mask.bits)]
    for mask in masks:
        check_fits_grid(mask, grid_shape(item))
    planes = planes_of_masks(analysis, item, masks)
    document = new_result_dataset(analysis, ResultKind.SEG, PROFILE, sop_class_uid=SegmentationStorage, modality="SEG")
    made = Segmentation(
        source_images=substitute_images(analysis, item, planes),
        pixel_array=label_planes(masks, planes, grid_shape(item)),
        segmentation_type="BINARY",
        segment_descriptions=[segment_description(analysis, number, segment) for number, segment in numbers.items()],
        content_label="SEGMENTATION",
        content_description=document.SeriesDescription,
        **identification(document),
    )
    add_missing_elements(document, made)
    add_anatomy(document, analysis, with_side=False)
    document.ContentCreatorName = ""  # not made by a person
    if isinstance(item, Photograph):
        document.PatientOrientation = ""  # type 2C: required because the plane has no position in the patient
    restore_references(document, analysis, planes)
    derive_dimension_uids(document, analysis, PROFILE)
    return encode_object(document, kind=ResultKind.SEG, profile=PROFILE, source_character_set=analysis.source.character_set)


def label_planes(masks: Sequence[Mask], planes: Sequence[ImagePlane], shape: tuple[int, int, int]) -> NDArray[np.unsignedinteger]:
    """(planes, Y, X) of segment numbers; (planes, Y, X, segments) of 0 and 1, which is many times larger, if segments share a voxel."""
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


def segment_description(analysis: Analysis, number: int, segment: int) -> SegmentDescription:
    """The description of segment ``segment``, which is finding ``number``: label, property, algorithm, tracking, region and colour."""
    finding, identity, end = analysis.prediction.findings[number - 1], analysis.identity, f" {number}"
    site = analysis.source.anatomy.finding_site(finding.site)
    described = SegmentDescription(
        segment_number=segment,
        segment_label=finding.label[: MAX_LO - len(end)] + end,  # two long labels differ in their numbers
        segmented_property_category=coded_concept(codes.ABNORMAL_STRUCTURE),
        segmented_property_type=coded_concept(PROPERTY_TYPES.get(finding.code, codes.LESION)),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=identity.name[:MAX_LO],
            family=coded_concept(codes.ARTIFICIAL_INTELLIGENCE),
            version=identity.version[:MAX_LO],
            source=identity.manufacturer[:MAX_LO],
            parameters={"pipeline sha256": identity.digest},
        ),
        tracking_uid=tracking_uid(analysis, number),
        tracking_id=tracking_id(analysis, number),
        anatomic_regions=[coded_concept(site)] if site is not None else None,
        display_color=CIELabColor.from_rgb(*SEGMENTS[(segment - 1) % len(SEGMENTS)]),
    )
    side = analysis.source.anatomy.finding_side(finding.side)
    if site is not None and side is not None:
        region = CodedConcept(site.value, site.scheme, site.meaning)
        region.AnatomicRegionModifierSequence = [code_sequence_item(side)]
        described.AnatomicRegionSequence = [region]
    return described
