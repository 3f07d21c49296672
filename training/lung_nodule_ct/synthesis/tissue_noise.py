"""Noise cut from the soft tissue of a series, which gives inserted tissue the same grain."""

import numpy as np
import numpy.typing as npt

from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, Spacing

Rng = np.random.Generator
MOST_BLOCKS, EDGE_MM = 24, 26.0


class NoiseBank:
    """Blocks of noise from homogeneous soft tissue of a series; ``sigma_hu`` is their mean standard deviation."""

    def __init__(self, hu: npt.NDArray[np.int16], spacing_mm: Spacing, rng: Rng) -> None:
        size = [max(3, round(EDGE_MM / s)) for s in spacing_mm]
        self.blocks: list[Float] = []
        self.sigma_hu = 0.0
        found: list[tuple[float, Float]] = []
        for _ in range(4000):
            low = [int(rng.integers(0, max(1, n - k))) for n, k in zip(hu.shape, size, strict=True)]
            few = hu[low[0] : low[0] + size[0] : 2, low[1] : low[1] + size[1] : 4, low[2] : low[2] + size[2] : 4]
            if few.size == 0 or few.min() < -250 or few.max() > 400 or abs(float(few.mean()) - 40) > 120:
                continue
            block = hu[tuple(slice(a, a + k) for a, k in zip(low, size, strict=True))].astype(np.float32)
            if block.min() < -300 or block.max() > 500:
                continue
            block = block - ndimage.gaussian_filter(block, [4.0 / s for s in spacing_mm], mode="nearest")
            found.append((float(block.std()), block))
        found.sort(key=lambda pair: pair[0])
        self.blocks = [b for _, b in found[:MOST_BLOCKS]]  # the least varying blocks contain no edges of organs
        if self.blocks:
            self.sigma_hu = float(np.mean([b.std() for b in self.blocks]))

    def cut(self, rng: Rng, shape: tuple[int, ...]) -> Float:
        """(Z, Y, X) of noise in HU; for larger shapes a block is repeated mirrored."""
        if not self.blocks:
            return rng.normal(0, 20, shape).astype(np.float32)
        block = self.blocks[int(rng.integers(len(self.blocks)))]
        short = [(0, max(0, n - k)) for n, k in zip(shape, block.shape, strict=True)]
        block = np.pad(block, short, mode="symmetric")
        start = [int(rng.integers(0, k - n + 1)) for n, k in zip(shape, block.shape, strict=True)]
        out: Float = block[tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))]
        return out
