"""Makes a second examination of a chest from a first one: another position, other breathing, other slices. No real pair is available."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Index, Spacing
from training.lung_nodule_ct.real.measurement.variations import thick_slices

Hu = npt.NDArray[np.int16]
AIR_HU = -1000


@dataclass(frozen=True, slots=True)
class Repositioning:
    """How the patient lies and breathes the second time.

    ``degrees``: rotation about z, then y, then x; ``stretch``: of the chest along (z, y, x); ``breath_mm``: how far the lowest slice moves
    down, of the highest nothing, growing with the square of the depth; ``slice_mm``: of the second series, 0: as the first.
    """

    degrees: Index = (0.0, 0.0, 0.0)
    stretch: Index = (1.0, 1.0, 1.0)
    breath_mm: float = 0.0
    slice_mm: float = 0.0


REPOSITIONINGS: Mapping[str, Repositioning] = {
    "little": Repositioning((2.0, 1.0, -1.0), (1.0, 1.01, 0.99), 4.0),
    "usual": Repositioning((-5.0, 3.0, 3.0), (1.0, 1.03, 1.02), 12.0),
    "much": Repositioning((10.0, -6.0, 5.0), (1.0, 0.95, 0.96), -25.0),
    "usual_5_mm": Repositioning((-5.0, 3.0, 3.0), (1.0, 1.03, 1.02), 12.0, 5.0),
}
"""By name. Rotations beyond 10 degrees and breathing beyond 25 mm are not usual on a scanner with a breath-hold."""


@dataclass(frozen=True, slots=True)
class SecondExamination:
    """``hu`` (Z, Y, X) of the second examination, and the way back to the first: native index = ``matrix`` @ z' y x + ``offset``.

    z' is z moved by the breathing (`first_z`); a slice of the second is ``step`` slices of the grid of the first, from ``first`` on.
    """

    hu: Hu
    spacing_mm: Spacing
    matrix: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    breath: float
    slices: int
    first: float = 0.0
    step: float = 1.0

    def in_first(self, index: Index) -> Index:
        """The native (z, y, x) index in the first examination of a native index of the second."""
        z = moved(self.first + self.step * index[0], self.breath, self.slices)
        z, y, x = self.matrix @ (z, index[1], index[2]) + self.offset
        return float(z), float(y), float(x)


def moved(z: float, breath: float, slices: int) -> float:
    """Where slice ``z`` lay before the breathing: slice 0 is the lowest, and has moved down by ``breath`` slices."""
    return z + breath * (1 - z / (slices - 1)) ** 2


def examine_again(hu: Hu, spacing_mm: Spacing, change: Repositioning) -> SecondExamination:
    """Return the chest as it is seen after ``change``; slice 0 is the lowest. What lies outside of the first series is air."""
    about_z, about_y, about_x = (math.radians(angle) for angle in change.degrees)
    rotation = _rotation(about_z, 0) @ _rotation(about_y, 1) @ _rotation(about_x, 2)
    size = np.diag(spacing_mm)
    matrix = np.linalg.inv(size) @ rotation @ np.diag(1 / np.array(change.stretch)) @ size
    middle = (np.array(hu.shape) - 1) / 2
    offset = middle - matrix @ middle
    turned = ndimage.affine_transform(hu, matrix, offset, order=1, mode="constant", cval=AIR_HU)
    breath = change.breath_mm / spacing_mm[0]
    breathed = _at_heights(turned, np.array([moved(float(z), breath, len(hu)) for z in range(len(hu))]))
    made = SecondExamination(breathed, spacing_mm, matrix, offset, breath, len(hu))
    if not change.slice_mm:
        return made
    thick = thick_slices(change.slice_mm)(breathed, spacing_mm)  # type: ignore[call-arg]
    return SecondExamination(thick.hu, thick.spacing_mm, matrix, offset, breath, len(hu), thick.first, thick.step)


def _rotation(angle: float, axis: int) -> npt.NDArray[np.float64]:
    """The rotation in (z, y, x) about one of these axes."""
    first, second = (one for one in range(3) if one != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


def _at_heights(hu: Hu, z: npt.NDArray[np.float64]) -> Hu:
    """The slices at fractional heights; outside, the last one is repeated."""
    z = np.clip(z, 0, len(hu) - 1)
    below = np.minimum(z.astype(np.intp), len(hu) - 2)
    share = (z - below).astype(np.float32)[:, None, None]
    found: Hu = np.rint(hu[below] + (hu[below + 1].astype(np.float32) - hu[below]) * share).astype(np.int16)
    return found
