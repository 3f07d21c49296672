"""A made-up chest, and heat of the nodule detector in it."""

from functools import cache

import numpy as np
import numpy.typing as npt

from models.ct import isotropic_grid
from models.ct.lung_field import LungField, lung_field
from models.lung_nodule_ct.heat import NoduleHeat

COARSE = (3.0, 2.0, 2.0)
BALL = (40, 50, 45)  # index on the grid of the heat


def chest() -> npt.NDArray[np.int16]:
    """A body of soft tissue with two lungs, (Z, Y, X) HU int16 at 3 x 2 x 2 mm: 180 x 280 x 340 mm."""
    z, y, x = np.ogrid[-90:90:3, -140:140:2, -170:170:2]
    hu = np.full((60, 140, 170), -1000, np.int16)
    hu[np.broadcast_to((y / 110) ** 2 + (x / 150) ** 2 < 1, hu.shape)] = 40
    for side in (-65, 65):
        hu[(z / 80) ** 2 + (y / 75) ** 2 + ((x - side) / 50) ** 2 < 1] = -850
    return hu


@cache
def chest_lungs() -> LungField:
    """The lung field of ``chest``, found once."""
    lungs = lung_field(chest(), COARSE)
    assert lungs is not None
    return lungs


def ball_heat(radius: float, value: float = 0.9, hu: float = 40.0, tissue_radius: float | None = None) -> NoduleHeat:
    """A ball of heat in the right lung of ``chest``, on the grid of 1 mm, around its place `BALL`, of tissue of ``hu``.

    The tissue has the radius of the heat, or ``tissue_radius`` (mm).
    """
    lungs = chest_lungs()
    part = isotropic_grid.grid_over_box((10.0, 40.0, 30.0), (40.0, 90.0, 75.0), COARSE)
    z, y, x = np.ogrid[: part.shape[0], : part.shape[1], : part.shape[2]]
    distance = np.sqrt((z - BALL[0]) ** 2 + (y - BALL[1]) ** 2 + (x - BALL[2]) ** 2)
    values = np.where(distance <= radius, value, 0).astype(np.float32)
    image = isotropic_grid.normalise(np.where(distance <= (tissue_radius or radius), hu, -850).astype(np.float32))
    return NoduleHeat(values, image, part, lungs)
