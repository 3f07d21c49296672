"""Which pictures an analysis gives: one view a finding on CT, one view of a photograph."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.records import Finding, Mask
from core.states import Outcome
from imaging.masks import unpack_mask
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from workers.encode.analysis import Analysis
from workers.encode.pictures import cuts, marks, style
from workers.encode.pictures.cuts import Cut

Voxel = tuple[float, float, float]  # (z, y, x)

MAX_VIEWS = 6
SLICE_PX, SMALL_PX, PHOTOGRAPH_PX = 760, 368, 800
ZOOM_MM = 50.0
MIN_CIRCLE_PX = 14.0


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture and the words under it. ``heat``: it shows the map of evidence and needs its legend."""

    image: Image.Image
    caption: str
    heat: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """The pictures of one finding (its number from 1; 0: of the whole image), the largest first, and the image they show."""

    number: int
    panels: tuple[Panel, ...]
    sop_instance_uid: str
    frame: int | None = None


def views(analysis: Analysis) -> tuple[View, ...]:
    """The surest findings first, `MAX_VIEWS` at most. None where nothing was found, or nothing can be shown of it."""
    if analysis.prediction.outcome is not Outcome.FINDINGS:
        return ()
    if isinstance(analysis.item, Photograph):
        return _photograph(analysis, analysis.item)
    if not isinstance(analysis.item, Volume):
        return ()
    found = []
    for number in surest(analysis.prediction.findings)[:MAX_VIEWS]:
        view = _in_volume(analysis, analysis.item, analysis.prediction.findings[number - 1], number)
        if view is not None:
            found.append(view)
    return tuple(found)


def surest(findings: tuple[Finding, ...]) -> list[int]:
    """Numbers from 1, by probability, else score; equals in their order."""
    sureness = [finding.probability if finding.probability is not None else finding.score or 0.0 for finding in findings]
    return sorted(range(1, len(findings) + 1), key=lambda number: (-sureness[number - 1], number))


def _in_volume(analysis: Analysis, volume: Volume, finding: Finding, number: int) -> View | None:
    """The slice through a finding, what is around it enlarged, and the plane across; without a place, its slice alone."""
    at = _voxel(volume, finding)
    z = round(at[0]) if at is not None else cuts.nearest_slice(volume, finding.sop_instance_uid, finding.frame)
    if z is None:
        return None
    heat = analysis.heat
    warmth = None if heat is None else cuts.heat_on_slice(heat, z, (volume.hu.shape[1], volume.hu.shape[2]))
    if warmth is not None and float(warmth.max(initial=0.0)) <= style.HEAT_FROM:
        warmth = None
    called = analysis.source.called(volume.sop_instance_uids[z], volume.frame_numbers[z]) or f"slice {z + 1} of {len(volume.hu)}"
    panels: tuple[Panel, ...]
    if at is None:
        words = f"{cuts.plane_name(volume, 2)}, {called}, {window()}"
        panels = (_marked(cuts.acquired(volume, z, SLICE_PX), warmth, None, words),)
    else:
        panels = (
            _overview(volume, finding, number, at, z, called),
            _enlarged(volume, finding, at, z, warmth),
            _across(volume, finding, number, at, z),
        )
    return View(number, panels, finding.sop_instance_uid or volume.sop_instance_uids[z], volume.frame_numbers[z])


def window() -> str:
    return f"window {cuts.WINDOW_CENTRE_HU}/{cuts.WINDOW_WIDTH_HU} HU"


def _overview(volume: Volume, finding: Finding, number: int, at: Voxel, z: int, called: str) -> Panel:
    cut = cuts.acquired(volume, z, SLICE_PX)
    image = Image.fromarray(_rgb(cut))
    radius = max(MIN_CIRCLE_PX, 0.8 * (finding.diameter_mm or 0.0) * cut.scale[1] / volume.spacing_mm[2])
    marks.circle(image, cut.place(at[1], at[2]), radius, str(number))
    marks.sides(image, *cut.letters)
    height = "" if finding.position_mm is None else f"z {finding.position_mm[2]:.1f} mm, "
    return Panel(image, f"{cuts.plane_name(volume, 2)}, {height}{called}, {window()}")


def _enlarged(volume: Volume, finding: Finding, at: Voxel, z: int, warmth: NDArray[np.float32] | None) -> Panel:
    wide_mm = max(ZOOM_MM, 3 * (finding.diameter_mm or 0.0))
    reach = [max(2, round(wide_mm / 2 / spacing)) for spacing in volume.spacing_mm[1:]]
    y, x = round(at[1]), round(at[2])
    box = y - reach[0], x - reach[1], y + reach[0] + 1, x + reach[1] + 1
    outline = None
    if finding.mask is not None and on_slice(finding.mask, z):
        _, top, left = finding.mask.origin
        plane = unpack_mask(finding.mask)[z - finding.mask.origin[0]]
        outline = cuts.boxed(plane, (box[0] - top, box[1] - left, box[2] - top, box[3] - left))
    warm = None if warmth is None else cuts.boxed(warmth, box)
    return _marked(cuts.acquired(volume, z, SMALL_PX, box), warm, outline, f"enlarged, {wide_mm:.0f} mm wide")


def _marked(cut: Cut, warmth: NDArray[np.float32] | None, outline: NDArray[np.bool_] | None, caption: str) -> Panel:
    """The slice with the evidence and the finding's outline on it, and their names under it."""
    rgb, named = _rgb(cut), []
    if warmth is not None:
        rgb = style.painted(rgb, cut.onto(warmth))
        named.append("heat map")
    if outline is not None:
        rgb = marks.outlined(rgb, cut.onto(outline.astype(np.float32)) >= 0.5)
        named.append("outline")
    return Panel(Image.fromarray(rgb), ", ".join([caption, *named]), warmth is not None)


def _voxel(volume: Volume, finding: Finding) -> Voxel | None:
    """(z, y, x) of a finding: where it is on its image, else where it is in the patient."""
    z = cuts.nearest_slice(volume, finding.sop_instance_uid, finding.frame)
    if z is not None and finding.image_point is not None:
        return float(z), finding.image_point[1] - 0.5, finding.image_point[0] - 0.5
    return cuts.in_volume(volume, finding.position_mm) if finding.position_mm is not None else None


def _rgb(cut: Cut) -> NDArray[np.uint8]:
    return np.repeat(cut.grey[..., None], 3, axis=2)


def on_slice(mask: Mask, z: int) -> bool:
    """Whether a mask's box reaches a slice."""
    return mask.origin[0] <= z < mask.origin[0] + mask.shape[0]


def _across(volume: Volume, finding: Finding, number: int, at: Voxel, z: int) -> Panel:
    """The plane that stands on the slice along its rows."""
    cut = cuts.across(volume, round(at[1]), SMALL_PX)
    image = Image.fromarray(_rgb(cut))
    level = cut.place(z, 0)[1]
    marks.dashes(image, (0, level), (image.width, level))
    scale = cut.scale[1] / volume.spacing_mm[2]
    marks.circle(image, cut.place(at[0], at[2]), max(MIN_CIRCLE_PX / 2, 0.8 * (finding.diameter_mm or 0.0) * scale), str(number))
    marks.sides(image, *cut.letters)
    return Panel(image, f"{cut.name}; the line is the slice")


def _photograph(analysis: Analysis, photograph: Photograph) -> tuple[View, ...]:
    """The image with the outlines of its findings, and beside it the evidence over it; nothing where there is neither."""
    masks = [finding.mask for finding in analysis.prediction.findings if finding.mask is not None]
    if not masks and analysis.heat is None:
        return ()
    rows, columns = photograph.rgb.shape[:2]
    scale = PHOTOGRAPH_PX / max(rows, columns)
    size = max(1, round(columns * scale)), max(1, round(rows * scale))
    plain = np.asarray(Image.fromarray(photograph.rgb).resize(size, Image.Resampling.LANCZOS), np.uint8)
    rgb = plain
    for mask in masks:
        whole = np.zeros((rows, columns), np.uint8)
        _, top, left = mask.origin
        whole[top : top + mask.shape[1], left : left + mask.shape[2]] = unpack_mask(mask)[0]
        rgb = marks.outlined(rgb, np.asarray(Image.fromarray(whole * 255).resize(size, Image.Resampling.BILINEAR)) >= 128, width=4)
    panels = [Panel(Image.fromarray(rgb), "the image as received" + (", with the outline of the lesion" if masks else ""))]
    if analysis.heat is not None:
        down, across = ((np.arange(n) + 0.5) * of / n - 0.5 for n, of in zip(size[::-1], (rows, columns), strict=True))
        shown = style.painted(plain, cuts.heat_at(analysis.heat, 0.0, down, across))
        panels.append(Panel(Image.fromarray(shown), analysis.heat.meaning, True))
    sop_instance_uid = photograph.sop_instance_uid or analysis.source.images[0].sop_instance_uid
    return (View(0, tuple(panels), sop_instance_uid, 1),)
