"""What is varied on the fly: orientation, position, noise, blur, contrast, density of the lung background."""

import numpy as np
import numpy.typing as npt

from models.lung_nodule_ct.bank import NODULE, Bank
from models.lung_nodule_ct.grid import Float, normalise
from models.lung_nodule_ct.nd import ndimage

CROP = 48  # of 64: the rest is room to move


def augment(
    hu: npt.NDArray[np.int16], label: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[Float, npt.NDArray[np.uint8]]:
    """One (64, 64, 64) patch to one (48, 48, 48) normalised patch and its label, varied; a nodule stays in sight."""
    low = rng.integers(0, hu.shape[0] - CROP + 1, 3)
    inside = np.flatnonzero(label == NODULE)
    if len(inside):
        kept = np.array(np.unravel_index(inside[int(rng.integers(len(inside)))], label.shape))
        low = np.clip(kept - rng.integers(4, CROP - 4, 3), 0, hu.shape[0] - CROP)
    where = tuple(slice(int(a), int(a) + CROP) for a in low)
    values: Float = hu[where].astype(np.float32)
    marks = label[where]
    turns = int(rng.integers(4))
    values, marks = np.rot90(values, turns, (1, 2)), np.rot90(marks, turns, (1, 2))
    for axis in range(3):
        if rng.random() < 0.5:
            values, marks = np.flip(values, axis), np.flip(marks, axis)
    if rng.random() < 0.3:
        values = ndimage.gaussian_filter(values, float(rng.uniform(0.3, 0.9)))
    if rng.random() < 0.5:
        grain: Float = rng.standard_normal(values.shape, dtype=np.float32)
        if rng.random() < 0.5:
            grain = ndimage.gaussian_filter(grain, 0.7) * 2.5
        values = values + grain * np.float32(rng.uniform(5, 50))
    if rng.random() < 0.5:  # lungs of other density: from empty phantom foam to a shallow breath
        emptier: Float = np.clip((-500 - values) / 400, 0, 1)
        values = values + emptier * np.float32(rng.uniform(-80, 130))
    values = (values + 1000) * np.float32(rng.uniform(0.95, 1.05)) - 1000 + np.float32(rng.uniform(-25, 25))
    return np.ascontiguousarray(normalise(values)), np.ascontiguousarray(marks)


def batch(bank: Bank, rng: np.random.Generator, size: int) -> tuple[Float, npt.NDArray[np.uint8]]:
    """``size`` augmented patches, two of three with a nodule: (N, 1, 48, 48, 48) values and labels."""
    with_nodule, without = np.flatnonzero(bank.positive), np.flatnonzero(~bank.positive)
    most = -(-2 * size // 3)
    chosen = [int(rng.choice(with_nodule)) for _ in range(most)]
    chosen += [int(rng.choice(without if len(without) else with_nodule)) for _ in range(size - most)]
    pairs = [augment(bank.hu[i], bank.label[i], rng) for i in chosen]
    return np.stack([p[0] for p in pairs])[:, None], np.stack([p[1] for p in pairs])[:, None]


