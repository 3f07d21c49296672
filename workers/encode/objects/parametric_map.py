"""The heat map of a CT volume as a Parametric Map (PS3.3 A.75), through highdicom: numbers that a viewer can colour and measure.

On the map's own grid, which may be coarser than that of the images, in their frame of reference. Only planes with values above zero are
written. Photographs have none: highdicom refuses their SOP classes, and their heat map is a picture (`heatmap`).
"""

import math
from collections.abc import Iterable
from textwrap import shorten

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ParametricMapStorage

from core.concepts import codes
from core.iods import TYPE_2
from core.records import HeatMap, ResultObject
from core.states import ResultKind
from imaging.masks import box_of, pack_heat_map, unpack_heat_map
from imaging.volume.volume import Volume
from imaging.wire.notes import warnings_discarded
from workers.encode.analysis import Analysis
from workers.encode.dicom_modules import add_anatomy, code_sequence_item, new_result_dataset, round_for_ds, sop_reference
from workers.encode.objects.highdicom_objects import add_missing_elements, derive_dimension_uids, identification
from workers.encode.part10_file import encode_object
from workers.encode.result_identity import MAX_LO, is_research
from workers.encode.sr.image_library import coded_concept

PROFILE = "parametric_map"


def encode(analysis: Analysis) -> ResultObject | None:
    """The map as a Part 10 file; None without a heat map, for photographs, and if the slices have no common frame of reference."""
    volume = analysis.item
    if not isinstance(volume, Volume) or analysis.heat is None or not analysis.frame_of_reference_uid:
        return None
    values = unpack_heat_map(analysis.heat)
    if not values.any():
        return None
    heat, values = _cropped(analysis.heat, values)
    planes = np.flatnonzero(values.any(axis=(1, 2)))
    document = new_result_dataset(analysis, ResultKind.PARAMETRIC_MAP, PROFILE, sop_class_uid=ParametricMapStorage, modality="OT")
    with warnings_discarded():  # highdicom warns of planes that are not next to each other
        made = _make_map(analysis, document, volume, heat, values, planes)
    add_missing_elements(document, made)
    add_anatomy(document, analysis)
    document.ContentCreatorName = ""  # not made by a person
    document.ImageComments = heat.meaning
    _add_references(document, analysis, volume, heat)
    derive_dimension_uids(document, analysis, PROFILE)
    return encode_object(document, kind=ResultKind.PARAMETRIC_MAP, profile=PROFILE, source_character_set=analysis.source.character_set)


def _cropped(heat: HeatMap, values: NDArray[np.float32]) -> tuple[HeatMap, NDArray[np.float32]]:
    """The map and its values without the rows and columns at the edges that are zero on all planes."""
    _, rows, columns = box_of(values != 0)
    kept = np.ascontiguousarray(values[:, rows, columns])
    origin = heat.origin[0], heat.origin[1] + rows.start * heat.step[1], heat.origin[2] + columns.start * heat.step[2]
    return pack_heat_map(kept, origin=origin, step=heat.step, meaning=heat.meaning), kept


def _make_map(
    analysis: Analysis, document: Dataset, volume: Volume, heat: HeatMap, values: NDArray[np.float32], planes: NDArray[np.intp]
) -> ParametricMap:
    step_z, step_y, step_x = (float(step * spacing) for step, spacing in zip(heat.step, volume.spacing_mm, strict=True))
    corners = [volume.lps(heat.origin[0] + heat.step[0] * float(k), heat.origin[1], heat.origin[2]) for k in planes]
    row, column = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (0, 1))
    return ParametricMap(
        source_images=[_substitute_image(analysis, volume)],
        pixel_array=np.ascontiguousarray(values[planes]),
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(heat)],
        voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
        **identification(document),
        content_label="EVIDENCE",
        content_description=document.SeriesDescription,
        content_qualification="RESEARCH" if is_research(analysis) else "PRODUCT",
        pixel_measures=PixelMeasuresSequence((round_for_ds(step_y), round_for_ds(step_x)), round_for_ds(step_z), round_for_ds(step_z)),
        plane_orientation=PlaneOrientationSequence("PATIENT", [round_for_ds(value) for value in (*row, *column)]),
        plane_positions=[PlanePositionSequence("PATIENT", [round_for_ds(value) for value in corner]) for corner in corners],
    )


def _mapping(heat: HeatMap) -> RealWorldValueMapping:
    """Stored values are those of the heat map, 0 to 1, without a unit. LUT Explanation has the beginning of their meaning in words."""
    return RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=shorten(heat.meaning, MAX_LO, placeholder="..."),
        unit=coded_concept(codes.NO_UNITS),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=coded_concept(codes.SALIENCY),
    )


def _substitute_image(analysis: Analysis, volume: Volume) -> Dataset:
    """A source image as highdicom requires it. Only its frame of reference and lossy compression appear in the finished object."""
    image = Dataset()
    for keyword in TYPE_2:
        setattr(image, keyword, "")
    image.SOPInstanceUID, image.SOPClassUID = "2.25.1", CTImageStorage
    image.StudyInstanceUID, image.SeriesInstanceUID = analysis.source.study_instance_uid, analysis.source.series_instance_uid
    image.Modality, image.Rows, image.Columns = analysis.source.modality, volume.hu.shape[1], volume.hu.shape[2]
    image.FrameOfReferenceUID, image.PositionReferenceIndicator = analysis.frame_of_reference_uid, ""
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 1
    image.update(analysis.source.lossy)
    return image


def _add_references(document: Dataset, analysis: Analysis, volume: Volume, heat: HeatMap) -> None:
    """References to the images that each plane lies on or between (PS3.3 C.7.6.16.2.6) and to all of them (C.12.2)."""
    referenced: set[int] = set()
    for frame in document.PerFrameFunctionalGroupsSequence:
        corner = frame.PlanePositionSequence[0].ImagePositionPatient
        slices = _slices_near(volume.index((float(corner[0]), float(corner[1]), float(corner[2])))[0], heat.step[0], len(volume.hu))
        referenced.update(slices)
        derivation = Dataset()
        derivation.DerivationCodeSequence = [code_sequence_item(codes.UNSPECIFIED_CALCULATION)]
        derivation.SourceImageSequence = _source_items(analysis, volume, slices)
        for source in derivation.SourceImageSequence:
            source.PurposeOfReferenceCodeSequence = [code_sequence_item(codes.SOURCE_FOR_PROCESSING)]
        frame.DerivationImageSequence = [derivation]
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    images = dict.fromkeys(volume.sop_instance_uids[z] for z in sorted(referenced))
    series.ReferencedInstanceSequence = [sop_reference(analysis.source.image(uid)) for uid in images]
    document.ReferencedSeriesSequence = [series]
    document.SourceImageSequence = _source_items(analysis, volume, sorted(referenced))


def _slices_near(z: float, step: float, count: int) -> range:
    """Indices of the slices within half a step of position ``z``; at least those on both sides of it."""
    z = round(z, 4)
    first = min(math.ceil(z - step / 2), math.floor(z))
    last = max(math.floor(z + step / 2), math.ceil(z))
    return range(max(0, first), min(count, last + 1))


def _source_items(analysis: Analysis, volume: Volume, slices: Iterable[int]) -> list[Dataset]:
    """A reference to each image of the slices, with frame numbers if it is multi-frame."""
    frames: dict[str, list[int]] = {}
    for z in slices:
        frames.setdefault(volume.sop_instance_uids[z], []).append(volume.frame_numbers[z])
    items = []
    for uid, numbers in frames.items():
        item = sop_reference(analysis.source.image(uid))
        if volume.sop_instance_uids.count(uid) > 1:
            item.ReferencedFrameNumber = numbers
        items.append(item)
    return items
