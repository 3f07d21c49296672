"""The evidence on a CT volume as a Parametric Map (PS3.3 A.75), through highdicom: numbers that a viewer can colour and measure.

On the map's own grid, which may be coarser than the images', in their frame of reference; only planes with evidence are
written. Photographs have none: their SOP classes are refused by highdicom, and their heat map is a picture (heatmap.py).
"""

import math
import warnings
from collections.abc import Iterable

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ParametricMapStorage

from core import codes
from core.iods import TYPE_2
from core.records import HeatMap, ResultObject
from core.states import ResultKind
from imaging.masks import pack_heat_map, unpack_heat_map
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.common import MAX_LO, add_anatomy, code_item, head, is_research, object_uid, part10
from workers.encode.planes import reference
from workers.encode.sr.image_library import concept

PROFILE = "parametric_map"


def encode(analysis: Analysis) -> ResultObject | None:
    """The map as a Part 10 file; None without evidence, for photographs, and where slices have no common frame of reference."""
    volume = analysis.item
    if not isinstance(volume, Volume) or analysis.heat is None or not analysis.frame_of_reference_uid:
        return None
    values = unpack_heat_map(analysis.heat)
    if not values.any():
        return None
    heat, values = _cropped(analysis.heat, values)
    planes = np.flatnonzero(values.any(axis=(1, 2)))
    document = head(analysis, ResultKind.PARAMETRIC_MAP, PROFILE, sop_class_uid=ParametricMapStorage, modality="OT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of highdicom, about evidence on planes that are not next to each other
        made = _map(analysis, document, volume, heat, values, planes)
    for element in made:
        if element.tag not in document:  # what highdicom would say of time, equipment and patient stays behind
            document.add(element)
    add_anatomy(document, analysis)
    document.ContentCreatorName = ""  # no person made it
    _references(document, analysis, volume, heat)
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = UID(object_uid(analysis, "dimensions", PROFILE))  # highdicom draws one
    return ResultObject(
        kind=ResultKind.PARAMETRIC_MAP,
        profile=PROFILE,
        sop_class_uid=str(ParametricMapStorage),
        sop_instance_uid=str(document.SOPInstanceUID),
        series_instance_uid=str(document.SeriesInstanceUID),
        content=part10(document, analysis.source.character_set),
    )


def _cropped(heat: HeatMap, values: NDArray[np.float32]) -> tuple[HeatMap, NDArray[np.float32]]:
    """The map and its values without the rows and columns at the edges that hold nothing on any plane."""
    rows, columns = np.flatnonzero(values.any(axis=(0, 2))), np.flatnonzero(values.any(axis=(0, 1)))
    top, left = int(rows[0]), int(columns[0])
    kept = np.ascontiguousarray(values[:, top : rows[-1] + 1, left : columns[-1] + 1])
    origin = heat.origin[0], heat.origin[1] + top * heat.step[1], heat.origin[2] + left * heat.step[2]
    return pack_heat_map(kept, origin=origin, step=heat.step, meaning=heat.meaning), kept


def _map(
    analysis: Analysis, document: Dataset, volume: Volume, heat: HeatMap, values: NDArray[np.float32], planes: NDArray[np.intp]
) -> ParametricMap:
    step_z, step_y, step_x = (float(step * spacing) for step, spacing in zip(heat.step, volume.spacing_mm, strict=True))
    corners = [volume.lps(heat.origin[0] + heat.step[0] * float(k), heat.origin[1], heat.origin[2]) for k in planes]
    row, column = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (0, 1))
    return ParametricMap(
        source_images=[_stand_in(analysis, volume)],
        pixel_array=np.ascontiguousarray(values[planes]),
        series_instance_uid=document.SeriesInstanceUID,
        series_number=document.SeriesNumber,
        sop_instance_uid=document.SOPInstanceUID,
        instance_number=1,
        manufacturer=document.Manufacturer,
        manufacturer_model_name=document.ManufacturerModelName,
        software_versions=document.SoftwareVersions,
        device_serial_number=document.DeviceSerialNumber,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(heat)],
        voi_lut_transformations=[VOILUTTransformation(window_center=0.5, window_width=1.0)],
        content_label="EVIDENCE",
        content_description=document.SeriesDescription,
        content_qualification="RESEARCH" if is_research(analysis) else "PRODUCT",
        pixel_measures=PixelMeasuresSequence((_decimal(step_y), _decimal(step_x)), _decimal(step_z), _decimal(step_z)),
        plane_orientation=PlaneOrientationSequence("PATIENT", [_decimal(value) for value in (*row, *column)]),
        plane_positions=[PlanePositionSequence("PATIENT", [_decimal(value) for value in corner]) for corner in corners],
    )


def _mapping(heat: HeatMap) -> RealWorldValueMapping:
    """Stored values are the evidence itself, 0 to 1, without a unit; what is mapped stands in words beside the code."""
    return RealWorldValueMapping(
        lut_label="EVIDENCE",
        lut_explanation=heat.meaning[:MAX_LO],
        unit=concept(codes.NO_UNITS),
        value_range=(0.0, 1.0),
        slope=1.0,
        intercept=0.0,
        quantity_definition=concept(codes.SALIENCY),
    )


def _stand_in(analysis: Analysis, volume: Volume) -> Dataset:
    """What highdicom asks of a source image; nothing of it stays but the frame of reference and what was lost before."""
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


def _decimal(value: float) -> float:
    """What VR DS can hold in its 16 characters, and no float noise behind it."""
    return float(f"{value:.9g}")


def _references(document: Dataset, analysis: Analysis, volume: Volume, heat: HeatMap) -> None:
    """The images that each plane lies on or between (PS3.3 C.7.6.16.2.6), and all of them (C.12.2), in place of the stand-in."""
    seen: set[int] = set()
    for frame in document.PerFrameFunctionalGroupsSequence:
        corner = frame.PlanePositionSequence[0].ImagePositionPatient
        near = _near(volume.index((float(corner[0]), float(corner[1]), float(corner[2])))[0], heat.step[0], len(volume.hu))
        seen.update(near)
        derivation = Dataset()
        derivation.DerivationCodeSequence = [code_item(codes.UNSPECIFIED_CALCULATION)]
        derivation.SourceImageSequence = _sources(analysis, volume, near)
        for source in derivation.SourceImageSequence:
            source.PurposeOfReferenceCodeSequence = [code_item(codes.SOURCE_FOR_PROCESSING)]
        frame.DerivationImageSequence = [derivation]
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    images = dict.fromkeys(volume.sop_instance_uids[z] for z in sorted(seen))
    series.ReferencedInstanceSequence = [reference(analysis.source.image(uid)) for uid in images]
    document.ReferencedSeriesSequence = [series]
    document.SourceImageSequence = _sources(analysis, volume, sorted(seen))


def _near(z: float, step: float, slices: int) -> range:
    """The slices within half a step of a place along the slices; at least those on both sides of it."""
    z = round(z, 4)
    first = min(math.ceil(z - step / 2), math.floor(z))
    last = max(math.floor(z + step / 2), math.ceil(z))
    return range(max(0, first), min(slices, last + 1))


def _sources(analysis: Analysis, volume: Volume, slices: Iterable[int]) -> list[Dataset]:
    """A reference to each image of the slices, with its frames where it has several."""
    frames: dict[str, list[int]] = {}
    for z in slices:
        frames.setdefault(volume.sop_instance_uids[z], []).append(volume.frame_numbers[z])
    items = []
    for uid, numbers in frames.items():
        item = reference(analysis.source.image(uid))
        if volume.sop_instance_uids.count(uid) > 1:
            item.ReferencedFrameNumber = numbers
        items.append(item)
    return items
