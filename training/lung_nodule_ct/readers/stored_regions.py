"""Found nodules as they are stored: image, heat, region and the readers' mask on the 1 mm grid, and the same as serving sees them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, ResamplingGrid
from models.ct.lung_field import LungField
from models.lung_nodule_ct.candidates import Bools, NoduleCandidate, axial_axes
from models.lung_nodule_ct.heat import NoduleHeat

NO_LUNGS = LungField(np.ones((1, 1, 1), bool), np.ones((1, 1, 1), bool), (1, 1, 1), (1.0, 1.0, 1.0), 0.0)


@dataclass(frozen=True, slots=True)
class PastedRegion:
    """A found nodule: ``nodule``, its number among `read_nodules`; ``volume``; ``score`` of the mark; ``hu``, ``heat``, ``inside`` (the
    region of the heat) and ``share`` (0..1, what the readers' consensus mask covers), all (Z, Y, X) on voxels of 1 mm."""

    nodule: int
    volume: str
    score: float
    hu: npt.NDArray[np.int16]
    heat: Float
    inside: Bools
    share: Float

    def as_served(self) -> tuple[NoduleCandidate, NoduleHeat]:
        """The region as a candidate on its own small grid, and that grid's heat and image: what serving outlines."""
        points = np.argwhere(self.inside)
        low, high = points.min(axis=0), points.max(axis=0) + 1
        inside = self.inside[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
        z, y, x = (float(c) for c in points.mean(axis=0))
        volume = float(inside.sum())
        corner = (int(low[0]), int(low[1]), int(low[2]))
        diameter = float((6 * volume / np.pi) ** (1 / 3))
        candidate = NoduleCandidate((z, y, x), (z, y, x), self.score, volume, diameter, *axial_axes(points), corner, inside)
        shape = (self.hu.shape[0], self.hu.shape[1], self.hu.shape[2])
        own = ResamplingGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), shape)
        return candidate, NoduleHeat(self.heat, grids.normalise(self.hu.astype(np.float32)), own, NO_LUNGS)


def save_regions(regions: Sequence[PastedRegion], path: Path) -> None:
    """Write the regions of one part."""
    arrays: dict[str, npt.NDArray[np.generic]] = {"volumes": np.array([one.volume for one in regions])}
    for index, one in enumerate(regions):
        arrays |= {f"{index}/hu": one.hu, f"{index}/heat": one.heat.astype(np.float16), f"{index}/inside": one.inside}
        arrays |= {f"{index}/share": one.share.astype(np.float16), f"{index}/of": np.array([one.nodule, one.score])}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def read_regions(folder: Path) -> list[PastedRegion]:
    """All regions below ``folder``."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            for index in range(sum(name.endswith("/of") for name in stored.files)):
                number, score = stored[f"{index}/of"]
                hu, heat = stored[f"{index}/hu"], stored[f"{index}/heat"].astype(np.float32)
                share = stored[f"{index}/share"].astype(np.float32)
                volume = str(stored["volumes"][index])
                found.append(PastedRegion(int(number), volume, float(score), hu, heat, stored[f"{index}/inside"], share))
    return found
