"""Category of Lung-RADS 2022 by size and density alone, for a nodule seen for the first time.

Solid: below 6 mm 2, below 8 mm 3, below 15 mm 4A, else 4B. Ground-glass: below 30 mm 2, else 3. Part-solid: below 6 mm 2, else at least 3,
by the size of its solid part, which is not measured. Solid nodules on the pleura below 10 mm are 2 if their shape is benign, which is not
judged. Source: Christensen et al., CHEST 2024; 165(3):738-753.
"""

from itertools import pairwise

from core.concepts import private_codes
from core.records import Code

TOLERANCE_MM = 1.0  # of the mean axis: a voxel of the heat
SOLID_LIMITS_MM = (6.0, 8.0, 15.0)
GROUND_GLASS_LIMIT_MM = 30.0
PART_SOLID_LIMIT_MM = 6.0
JUXTAPLEURAL_LIMIT_MM = 10.0
ON_PLEURA_MM = 1.0
_CATEGORIES = ("2", "3", "4A", "4B")
_CODES: dict[tuple[str, str], Code] = {
    **{(name, name): code for name, code in zip(_CATEGORIES, private_codes.LUNG_RADS_SINGLE, strict=True)},
    **dict(zip(pairwise(_CATEGORIES), private_codes.LUNG_RADS_PAIRS, strict=True)),
    ("2", "4A"): private_codes.LUNG_RADS_2_TO_4A,
}


def lung_rads_category(kind: str, mean_axis_mm: float, pleura_mm: float | None) -> Code | None:
    """The category, or the range that the measuring error of 1 mm leaves open; None where size and density do not allow one.

    Parameters
    ----------
    kind
        solid, part_solid or ground_glass.
    mean_axis_mm
        Mean of long and short axis.
    pleura_mm
        Distance to the pleura; None: not near it.
    """
    low, high = mean_axis_mm - TOLERANCE_MM, mean_axis_mm + TOLERANCE_MM
    if kind == "part_solid":
        if high < PART_SOLID_LIMIT_MM:
            return _CODES["2", "2"]
        return private_codes.LUNG_RADS_3_OR_HIGHER if low >= PART_SOLID_LIMIT_MM else None
    first, last = _category(kind, low), _category(kind, high)
    if kind == "solid" and pleura_mm is not None and pleura_mm <= ON_PLEURA_MM and low < JUXTAPLEURAL_LIMIT_MM:
        first = "2"
    return _CODES.get((first, last))


def _category(kind: str, size_mm: float) -> str:
    if kind == "ground_glass":
        return "2" if size_mm < GROUND_GLASS_LIMIT_MM else "3"
    return _CATEGORIES[sum(size_mm >= limit for limit in SOLID_LIMITS_MM)]
