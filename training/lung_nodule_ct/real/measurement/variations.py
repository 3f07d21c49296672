"""Changes of an acquisition that a detector is measured on: thicker slices, less dose, a part of the chest.

Each is applied after the nodules were pasted, so that they change with the rest. Places are given back on the grid before the change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from models.ct.isotropic_grid import Index, Spacing
from models.lung_nodule_ct.suitability import MOST_STEP_MM
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank, Rng

Volume = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class VariedVolume:
    """``hu`` (Z, Y, X) after a change, and where its slice 0 and its slices lie on the grid before: ``first`` + ``step`` * z.

    ``kept``: the slices before the change, [low, high), that it still shows.
    """

    hu: Volume
    spacing_mm: Spacing
    first: float
    step: float
    kept: tuple[int, int]

    def before(self, centre: Index) -> Index:
        """The index (z, y, x) of a place on the grid before the change."""
        z, y, x = centre
        return (self.first + self.step * z, y, x)


Variation = Callable[[Volume, Spacing, NoiseBank, Rng], VariedVolume]


def unchanged(hu: Volume, spacing_mm: Spacing, *_: object) -> VariedVolume:
    """The volume as it is."""
    return VariedVolume(hu, spacing_mm, 0.0, 1.0, (0, len(hu)))


def thick_slices(step_mm: float) -> Variation:
    """Slices of ``step_mm`` thickness and increment: the mean of those that each covers, weighted by the part that lies in it.

    What is left at the end is dropped. Slices that are thicker before the change are a ValueError.
    """

    def thicker(hu: Volume, spacing_mm: Spacing, *_: object) -> VariedVolume:
        share = step_mm / spacing_mm[0]
        if share < 1:
            raise ValueError(f"slices at most {step_mm:g} mm apart are needed, these are {spacing_mm[0]:g} mm apart")
        edges = np.arange(len(hu))
        thick = []
        for number in range(int(len(hu) / share + 1e-6)):
            low, high = number * share, (number + 1) * share
            weights = np.clip(np.minimum(edges + 1, high) - np.maximum(edges, low), 0, 1).astype(np.float32)
            covered = np.flatnonzero(weights)
            thick.append(np.rint(np.tensordot(weights[covered], hu[covered].astype(np.float32), 1) / weights[covered].sum()))
        kept = min(len(hu), int(len(thick) * share + 1e-6))
        return VariedVolume(np.stack(thick).astype(np.int16), (step_mm, *spacing_mm[1:]), (share - 1) / 2, share, (0, kept))

    return thicker


def with_dose(share: float) -> Variation:
    """Noise as of ``share`` of the dose: its variance is 1 / ``share`` of that in the soft tissue of the volume, with the same grain."""

    def less_dose(hu: Volume, spacing_mm: Spacing, noise: NoiseBank, rng: Rng) -> VariedVolume:
        noisy = hu.astype(np.float32)
        edges = [max(n, 1) for n in np.min([block.shape for block in noise.blocks], axis=0)] if noise.blocks else [16, 64, 64]
        for z in range(0, hu.shape[0], edges[0]):
            for y in range(0, hu.shape[1], edges[1]):
                for x in range(0, hu.shape[2], edges[2]):
                    part = noisy[z : z + edges[0], y : y + edges[1], x : x + edges[2]]
                    part += sqrt(1 / share - 1) * noise.cut(rng, part.shape)
        return VariedVolume(np.clip(np.rint(noisy), -1024, 3071).astype(np.int16), spacing_mm, 0.0, 1.0, (0, len(hu)))

    return less_dose


def part(low: float, high: float) -> Variation:
    """The slices from the share ``low`` to the share ``high`` of all: an examination that does not cover the whole lungs."""

    def cut(hu: Volume, spacing_mm: Spacing, *_: object) -> VariedVolume:
        first, last = round(low * len(hu)), round(high * len(hu))
        return VariedVolume(hu[first:last], spacing_mm, float(first), 1.0, (first, last))

    return cut


UNCHANGED = "as_acquired"
VARIATIONS: Mapping[str, Variation] = {
    UNCHANGED: unchanged,
    "slices_of_5_mm": thick_slices(MOST_STEP_MM),
    "half_of_the_dose": with_dose(1 / 2),
    "quarter_of_the_dose": with_dose(1 / 4),
    "lower_two_thirds": part(0, 2 / 3),
    "upper_two_thirds": part(1 / 3, 1),
}
"""By name. Slice 0 of the volumes is the lowest."""
