"""Finds trachea, main and lobar bronchi: places inside of the lung field where no nodule of the lung can lie."""

import numpy as np

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float
from models.ct.lung_field import LungField, Mask

LUMEN_HU = -940.0  # on the coarse grid: aerated lung tissue is denser, except in emphysema
LEAST_ML = 0.3  # of a part of the tree
GAP_MM = 6.0  # between parts of the tree where a wall was averaged away
LEAST_LENGTH_MM = 30.0  # of the trachea: a shorter part along z is none
MIDDLE_MM = 30.0  # from the middle of the lungs to the middle of the trachea


def large_airways(coarse_hu: Float, lungs: LungField) -> Mask:
    """Voxels of the airways on the coarse grid of ``lungs``; none where the series shows no trachea.

    The trachea is the longest empty part along z near the middle of the lungs. Every empty part of at least 0.3 ml near what was found is
    added, which are the bronchi down to about 6 mm; emphysema and bullae elsewhere are not.
    """
    empty = ndimage.binary_opening(lungs.air & (coarse_hu < LUMEN_HU))
    labels, _ = ndimage.label(empty)
    boxes = ndimage.find_objects(labels)
    least = LEAST_ML * 1000 / float(np.prod(lungs.spacing_mm))
    sizes = np.bincount(labels.ravel())
    parts = [index for index in range(1, len(sizes)) if sizes[index] >= least]
    middle = float(np.mean(np.flatnonzero(lungs.air.any(axis=(0, 1)))))
    length_mm = {
        index: (boxes[index - 1][0].stop - boxes[index - 1][0].start) * lungs.spacing_mm[0]
        for index in parts
        if abs(float(np.nonzero(labels[boxes[index - 1]] == index)[2].mean()) + boxes[index - 1][2].start - middle) * lungs.spacing_mm[2]
        <= MIDDLE_MM
    }
    trachea = max(length_mm, key=lambda index: length_mm[index], default=0)
    found: Mask = np.zeros(labels.shape, dtype=bool)
    if not trachea or length_mm[trachea] < LEAST_LENGTH_MM:
        return found
    found |= labels == trachea
    left = [index for index in parts if index != trachea]
    while left:
        near = ndimage.distance_transform_edt(~found, sampling=lungs.spacing_mm) <= GAP_MM
        added = [index for index in left if near[boxes[index - 1]][labels[boxes[index - 1]] == index].any()]
        if not added:
            break
        found |= np.isin(labels, added)
        left = [index for index in left if index not in added]
    return found
