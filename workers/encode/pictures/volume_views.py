"""The view of a finding on CT: its slice, an enlarged part of it, and the perpendicular plane."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.records import Finding, Mask
from imaging.masks import unpack_mask
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.pictures import reformats
from workers.encode.pictures.annotations import draw_circle, draw_dashed_line, draw_directions, draw_outline
from workers.encode.pictures.captioned_pictures import CaptionedPicture, FindingView
from workers.encode.pictures.colours import HEAT_FROM, overlay_heat
from workers.encode.pictures.heat_values import heat_on_slice
from workers.encode.pictures.reformats import PlaneImage

Voxel = tuple[float, float, float]  # (z, y, x)

SLICE_PX, SMALL_PX = 760, 368
ZOOM_MM = 50.0
MIN_CIRCLE_PX = 14.0


def volume_view(analysis: Analysis, volume: Volume, finding: Finding, number: int) -> FindingView | None:
    """The slice through a finding, its surroundings enlarged, and the perpendicular plane; without a position its slice alone.

    None if the finding is on none of the volume's slices.
    """
    voxel = _voxel_of(volume, finding)
    z = round(voxel[0]) if voxel is not None else reformats.slice_index(volume, finding.sop_instance_uid, finding.frame)
    if z is None:
        return None
    heat = analysis.heat
    slice_heat = None if heat is None else heat_on_slice(heat, z, (volume.hu.shape[1], volume.hu.shape[2]))
    if slice_heat is not None and float(slice_heat.max(initial=0.0)) <= HEAT_FROM:
        slice_heat = None
    image_name = analysis.source.image_name(volume.sop_instance_uids[z], volume.frame_numbers[z]) or f"slice {z + 1} of {len(volume.hu)}"
    pictures: tuple[CaptionedPicture, ...]
    if voxel is None:
        caption = f"{reformats.plane_name(volume, 2)}, {image_name}, {reformats.window_text()}"
        pictures = (_draw_marked(reformats.acquired_slice(volume, z, SLICE_PX), slice_heat, None, caption),)
    else:
        pictures = (
            _draw_overview(volume, finding, number, voxel, z, image_name),
            _draw_enlarged(volume, finding, voxel, z, slice_heat),
            _draw_perpendicular(volume, finding, number, voxel, z),
        )
    return FindingView(number, pictures, finding.sop_instance_uid or volume.sop_instance_uids[z], volume.frame_numbers[z])


def _draw_overview(volume: Volume, finding: Finding, number: int, voxel: Voxel, z: int, image_name: str) -> CaptionedPicture:
    plane_image = reformats.acquired_slice(volume, z, SLICE_PX)
    image = Image.fromarray(_grey_to_rgb(plane_image))
    radius = max(MIN_CIRCLE_PX, 0.8 * (finding.diameter_mm or 0.0) * plane_image.scale[1] / volume.spacing_mm[2])
    draw_circle(image, plane_image.pixel_of(voxel[1], voxel[2]), radius, str(number))
    draw_directions(image, *plane_image.letters)
    height = "" if finding.position_mm is None else f"z {finding.position_mm[2]:.1f} mm, "
    return CaptionedPicture(image, f"{reformats.plane_name(volume, 2)}, {height}{image_name}, {reformats.window_text()}")


def _draw_enlarged(volume: Volume, finding: Finding, voxel: Voxel, z: int, slice_heat: NDArray[np.float32] | None) -> CaptionedPicture:
    wide_mm = max(ZOOM_MM, 3 * (finding.diameter_mm or 0.0))
    reach = [max(2, round(wide_mm / 2 / spacing)) for spacing in volume.spacing_mm[1:]]
    y, x = round(voxel[1]), round(voxel[2])
    box = y - reach[0], x - reach[1], y + reach[0] + 1, x + reach[1] + 1
    outline = None
    if finding.mask is not None and mask_reaches_slice(finding.mask, z):
        _, top, left = finding.mask.origin
        plane = unpack_mask(finding.mask)[z - finding.mask.origin[0]]
        outline = reformats.crop(plane, (box[0] - top, box[1] - left, box[2] - top, box[3] - left))
    box_heat = None if slice_heat is None else reformats.crop(slice_heat, box)
    return _draw_marked(reformats.acquired_slice(volume, z, SMALL_PX, box), box_heat, outline, f"enlarged, {wide_mm:.0f} mm wide")


def _draw_marked(
    plane_image: PlaneImage, slice_heat: NDArray[np.float32] | None, outline: NDArray[np.bool_] | None, caption: str
) -> CaptionedPicture:
    """A slice with heat map and outline, whose names are added to the caption."""
    rgb, overlays = _grey_to_rgb(plane_image), []
    if slice_heat is not None:
        rgb = overlay_heat(rgb, plane_image.resample(slice_heat))
        overlays.append("heat map")
    if outline is not None:
        rgb = draw_outline(rgb, plane_image.resample(outline.astype(np.float32)) >= 0.5)
        overlays.append("outline")
    return CaptionedPicture(Image.fromarray(rgb), ", ".join([caption, *overlays]), slice_heat is not None)


def _voxel_of(volume: Volume, finding: Finding) -> Voxel | None:
    """(z, y, x) index of a finding: from its point on the image, else from its position in the patient."""
    z = reformats.slice_index(volume, finding.sop_instance_uid, finding.frame)
    if z is not None and finding.image_point is not None:
        return float(z), finding.image_point[1] - 0.5, finding.image_point[0] - 0.5
    return reformats.clamp_to_volume(volume, finding.position_mm) if finding.position_mm is not None else None


def _grey_to_rgb(plane_image: PlaneImage) -> NDArray[np.uint8]:
    return np.repeat(plane_image.grey[..., None], 3, axis=2)


def mask_reaches_slice(mask: Mask, z: int) -> bool:
    """Whether a mask's box reaches a slice."""
    return mask.origin[0] <= z < mask.origin[0] + mask.shape[0]


def _draw_perpendicular(volume: Volume, finding: Finding, number: int, voxel: Voxel, z: int) -> CaptionedPicture:
    """The plane perpendicular to the slice, along its rows."""
    plane_image = reformats.perpendicular_plane(volume, round(voxel[1]), SMALL_PX)
    image = Image.fromarray(_grey_to_rgb(plane_image))
    level = plane_image.pixel_of(z, 0)[1]
    draw_dashed_line(image, (0, level), (image.width, level))
    scale = plane_image.scale[1] / volume.spacing_mm[2]
    radius = max(MIN_CIRCLE_PX / 2, 0.8 * (finding.diameter_mm or 0.0) * scale)
    draw_circle(image, plane_image.pixel_of(voxel[0], voxel[2]), radius, str(number))
    draw_directions(image, *plane_image.letters)
    return CaptionedPicture(image, f"{plane_image.name}; the line is the slice")
