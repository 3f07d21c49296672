"""The evidence on a CT volume as a Parametric Map (PS3.3 A.75), through highdicom: numbers that a viewer can colour and measure.

On the map's own grid, which may be coarser than the images', in their frame of reference; only planes with evidence are
written. Photographs have none: their SOP classes are refused by highdicom, and their heat map is a picture (heatmap.py).
"""

import math
import warnings

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage, ParametricMapStorage

from core import codes
from core.records import HeatMap, ReportObject
from core.states import ReportKind
from imaging.masks import pack_heat, unpack_heat
from imaging.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.common import MAX_LO, add_anatomy, head, is_research, object_uid, part10
from workers.encode.library import concept
from workers.encode.planes import reference
from workers.encode.source import TYPE_2

PROFILE = "parametric_map"


def encode(analysis: Analysis) -> ReportObject | None:
    """The map as a Part 10 file; None without evidence, for photographs, and where slices have no common frame of reference."""
    volume = analysis.item
    if not isinstance(volume, Volume) or analysis.heat is None or not analysis.frame_of_reference_uid:
        return None
    values = unpack_heat(analysis.heat)
    if not values.any():
        return None
    heat, values = _cropped(analysis.heat, values)
    planes = np.flatnonzero(values.any(axis=(1, 2)))
    document = head(analysis, ReportKind.PARAMETRIC_MAP, PROFILE, sop_class_uid=ParametricMapStorage, modality="OT")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of highdicom, about evidence on planes that are not next to each other
        made = _map(analysis, document, volume, heat, values, planes)
    for element in made:
        if element.tag not in document:  # what highdicom would say of time, equipment and patient stays behind
            document.add(element)
    add_anatomy(document, analysis)
    _references(document, analysis, volume, heat, planes)
    for item in (*document.DimensionOrganizationSequence, *document.DimensionIndexSequence):
        item.DimensionOrganizationUID = UID(object_uid(analysis, "dimensions", PROFILE))  # highdicom draws one
    return ReportObject(
        kind=ReportKind.PARAMETRIC_MAP,
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
    return pack_heat(kept, origin=origin, step=heat.step, meaning=heat.meaning), kept


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


def _references(document: Dataset, analysis: Analysis, volume: Volume, heat: HeatMap, planes: NDArray[np.intp]) -> None:
    """The images that the planes lie on or between (PS3.3 C.12.2, C.7.6.1.1.4), in place of the stand-in."""
    for frame in document.PerFrameFunctionalGroupsSequence:
        if "DerivationImageSequence" in frame:
            del frame.DerivationImageSequence
    near: set[int] = set()
    for place in heat.origin[0] + heat.step[0] * planes:
        first = min(math.ceil(place - heat.step[0] / 2), math.floor(place))
        last = max(math.floor(place + heat.step[0] / 2), math.ceil(place))
        near.update(range(max(0, first), min(len(volume.hu), last + 1)))
    images = [analysis.source.image(uid) for uid in dict.fromkeys(volume.sop_instance_uids[z] for z in sorted(near))]
    series = Dataset()
    series.SeriesInstanceUID = analysis.source.series_instance_uid
    series.ReferencedInstanceSequence = [reference(image) for image in images]
    document.ReferencedSeriesSequence = [series]
    document.SourceImageSequence = [reference(image) for image in images]
