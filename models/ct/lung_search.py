"""Looks for lungs in the images of a CT series, for the routes: a few slices, coarse, so that it costs about a second."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.errors import NodeError, system_error_of
from core.policy.routes.body_part.condition import NOT_SEEN, SEEN, LungsSeen
from core.policy.slice_coverage import distance_along_normal, names_localizer
from imaging.volume.ct_slices import CtSlice, read_slices
from imaging.volume.hounsfield import write_hounsfield
from models.ct.lung_field import LungField, lung_field

T = TypeVar("T")

MOST_SLICES = 48
LEAST_SLICES = 5  # a smaller stack is thickened, so that the shape rules of the lung field apply
SINGLE_SLICE_MM = 10.0
PIXEL_MM = 3.0
AXIAL_COSINE = 0.9
ENOUGH_LITRES = 1.5  # more than the bases of the lungs in a CT of the abdomen
ENOUGH_SHARE = 0.5  # of the slices: a part of a chest, or a child's
SHARE_OF_LARGEST_AREA = 0.1


def sample_evenly(items: Sequence[T], most: int = MOST_SLICES) -> list[T]:
    """At most ``most`` of ``items``, evenly spaced, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def search_lungs(paths: Sequence[Path]) -> LungsSeen:
    """Look for lungs in the files of one series, in any order.

    Lungs count as the chest from 1.5 l on, or where they are on half of the slices: a CT of the abdomen or neck shows less of them.
    Images that are broken, or are no axial CT, show none.

    Raises
    ------
    OSError
        A file is missing, or cannot be read now.
    """
    try:
        slices = sample_evenly(_axial_slices(read_slices(sample_evenly(paths), [])))
        if not slices:
            return NOT_SEEN, "no axial CT images with a position"
        stack, spacing_mm = _coarse_stack(slices)
    except (NodeError, OSError) as error:
        failed = system_error_of(error)
        if failed is not None:
            raise failed from None
        return NOT_SEEN, f"the images cannot be read ({error})"
    lungs = lung_field(stack, spacing_mm)
    looked_at = f"in {len(slices)} image{'s' if len(slices) > 1 else ''} looked at"
    if lungs is None:
        return NOT_SEEN, f"no lungs {looked_at}"
    share = _share_of_slices(lungs)
    if len(slices) < LEAST_SLICES:
        return SEEN, f"lungs {looked_at}"
    seen = f"{lungs.litres:.1f} l of air-filled lung on {100 * share:.0f} % of the series' length, {looked_at}"
    if lungs.litres >= ENOUGH_LITRES or share >= ENOUGH_SHARE:
        return SEEN, seen
    return NOT_SEEN, f"{seen}: a small part of the lungs, as a CT of the abdomen or neck shows"


def _axial_slices(slices: list[CtSlice]) -> list[CtSlice]:
    """The axial slices of the first slice's size, along the body's axis; localizers are left out."""
    axial = [
        one
        for one in slices
        if one.has_geometry
        and not names_localizer(one.image_type)
        and abs(distance_along_normal(one.orientation, (0.0, 0.0, 1.0))) >= AXIAL_COSINE
    ]
    return sorted((one for one in axial if _grid(one) == _grid(axial[0])), key=lambda one: one.position[2])


def _grid(one: CtSlice) -> tuple[int, int, tuple[float, float]]:
    return one.rows, one.columns, one.pixel_spacing_mm


def _coarse_stack(slices: Sequence[CtSlice]) -> tuple[npt.NDArray[np.int16], tuple[float, float, float]]:
    """(Z, Y, X) HU of pixels of about 3 mm, and their spacing (z, y, x) in mm. One slice is decoded at a time."""
    dy, dx = slices[0].pixel_spacing_mm
    fy, fx = (max(1, round(PIXEL_MM / step)) if step > 0 else 1 for step in (dy, dx))
    full = np.empty((slices[0].rows, slices[0].columns), np.int16)
    rows, columns = full.shape[0] // fy, full.shape[1] // fx
    stack = np.empty((len(slices), rows, columns), np.int16)
    for index, one in enumerate(slices):
        write_hounsfield(one, full)
        blocks = full[: rows * fy, : columns * fx].reshape(rows, fy, columns, fx)
        stack[index] = blocks.mean(axis=(1, 3), dtype=np.float32)
    length = slices[-1].position[2] - slices[0].position[2]
    dz = length / (len(slices) - 1) if len(slices) > 1 and length > 0 else SINGLE_SLICE_MM
    repeats = -(-LEAST_SLICES // len(slices))
    if repeats > 1:
        dz = max(dz / repeats, SINGLE_SLICE_MM)
    return np.repeat(stack, repeats, axis=0), (dz, dy * fy, dx * fx)


def _share_of_slices(lungs: LungField) -> float:
    area = lungs.air.sum(axis=(1, 2))
    return float((area > SHARE_OF_LARGEST_AREA * area.max()).mean())
