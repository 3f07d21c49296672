"""Positions, masks and heat maps on the grid of a unit.

Positions are DICOM patient coordinates: LPS, millimetres (PS3.3 C.7.6.2.1.1).
"""

from dataclasses import dataclass, field

Lps = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Mask:
    """Voxels that a finding covers: a box on the grid of the unit, one bit a voxel.

    ``origin`` and ``shape`` are (z, y, x) in voxels of the volume as it was read; in a photograph z is 0 and the depth 1. ``bits`` is
    numpy.packbits of the box in C order (`imaging.masks`).
    """

    origin: tuple[int, int, int]
    shape: tuple[int, int, int]
    bits: bytes = field(repr=False)

    def __post_init__(self) -> None:
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        if min(self.shape) < 1 or min(self.origin) < 0 or len(self.bits) != (voxels + 7) // 8:
            raise ValueError(f"a mask of {self.shape} at {self.origin} has {(voxels + 7) // 8} bytes of bits, not {len(self.bits)}")


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Map of the evidence for an answer: 0 to 1 in 255 steps, on a regular grid along the axes of the unit.

    ``values`` is uint8 of ``shape`` (z, y, x) in C order, 255 for 1. Value (k, j, i) lies at the voxel ``origin + step * (k, j, i)`` of the
    unit (fractions of voxels, centres). ``meaning`` says what is mapped.
    """

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    step: tuple[float, float, float]
    meaning: str
    values: bytes = field(repr=False)

    def __post_init__(self) -> None:
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        if min(self.shape) < 1 or min(self.step) <= 0 or len(self.values) != voxels:
            raise ValueError(f"a heat map of {self.shape} has {voxels} bytes of values, not {len(self.values)}")
