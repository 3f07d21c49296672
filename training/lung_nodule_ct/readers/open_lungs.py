"""A real volume and where in its lungs one nodule may be pasted; prepared in seconds, because it lists no regions that may be nodules."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from imaging.ndimage import ndimage
from models.ct.isotropic_grid import Float, Index, Spacing
from models.ct.lung_field import LungField, lung_field
from training.lung_nodule_ct.real.prepared_volumes import KEEP_MM
from training.lung_nodule_ct.real.reference_volumes import MarkedNodule, ReferenceVolume
from training.lung_nodule_ct.synthesis.tissue_noise import Rng

TRIES = 400


@dataclass(frozen=True, slots=True)
class OpenLungs:
    """``hu`` (Z, Y, X) native; on the lung field's coarse grid ``inner_mm``, the distance to the outside of the field, and ``vessel_mm``,
    that to dense voxels inside; ``air``: coarse (z, y, x) of aerated lung; ``marks``: what readers marked."""

    name: str
    hu: npt.NDArray[np.int16]
    spacing_mm: Spacing
    lungs: LungField
    inner_mm: Float
    vessel_mm: Float
    air: npt.NDArray[np.intp]
    marks: tuple[MarkedNodule, ...]

    def draw_site(self, rng: Rng, diameter_mm: float, place: str) -> Index | None:
        """A native (z, y, x) on the pleura, on a vessel or free in the lung, away from marks; None where `TRIES` places do not suit."""
        radius = diameter_mm / 2
        for _ in range(TRIES):
            voxel = self.air[int(rng.integers(len(self.air)))]
            inner, vessel = float(self.inner_mm[tuple(voxel)]), float(self.vessel_mm[tuple(voxel)])
            suits = {
                "pleural": 0.05 * radius < inner < max(0.8 * radius, 3.0),
                "vessel": inner > radius + 2.0 and vessel < radius + 1.0,
                "isolated": inner > radius + 3.0,
            }[place]
            coarse = voxel + rng.uniform(-0.5, 0.5, 3)
            z, y, x = ((c + 0.5) * f - 0.5 for c, f in zip(coarse, self.lungs.factor, strict=True))
            if suits and self._away(z, y, x, radius):
                return float(z), float(y), float(x)
        return None

    def _away(self, z: float, y: float, x: float, radius: float) -> bool:
        return all(
            np.linalg.norm(np.subtract(mark.centre, (z, y, x)) * self.spacing_mm) > radius + mark.diameter_mm / 2 + KEEP_MM
            for mark in self.marks
        )


def open_lungs(volume: ReferenceVolume) -> OpenLungs:
    """The places of a volume. Raises NotAnalysable where no lung field is found."""
    lungs = lung_field(volume.hu, volume.spacing_mm)
    if lungs is None:
        raise NotAnalysable("no lung field was found", hint="paste into chest CT volumes only")
    inner = ndimage.distance_transform_edt(lungs.field, sampling=lungs.spacing_mm).astype(np.float32)
    vessel = lungs.field & ~lungs.air & (inner > 5.0)
    near = ndimage.distance_transform_edt(~vessel, sampling=lungs.spacing_mm).astype(np.float32)
    return OpenLungs(volume.name, volume.hu, volume.spacing_mm, lungs, inner, near, np.argwhere(lungs.air), volume.nodules)
