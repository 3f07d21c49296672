"""Whether slices make a volume, by their positions alone (PS3.3 C.7.6.2). Pure; LPS millimetres.

Never trusted: instance numbers, Slice Location, Spacing Between Slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.errors import GeometryError

Floats = NDArray[np.float64]

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine; headers give five or six decimals
SAME_POSITION_MM = 0.01
TILT_DEGREES = 1.0
MOST_TILT_DEGREES = 35.0  # no gantry tilts so far
_SPACING_TOLERANCE = 0.1  # of the step
_ROUNDING_MM = 0.1  # positions are often written with one decimal


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices in order along the normal.

    ``order``: indices into what was given; ``step``: (3,) mean displacement from slice to slice, mm; ``spacing_mm`` its length,
    of a tilted stack its length along the normal.
    """

    order: tuple[int, ...]
    normal: Floats
    step: Floats
    spacing_mm: float


def normal_of(orientation: Sequence[float]) -> Floats:
    """The unit normal, row x column. Raises `GeometryError` if the cosines are not two orthogonal unit vectors."""
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1.0, atol=1e-2) or abs(float(row @ column)) > 1e-2:
        raise GeometryError("Image Orientation (Patient) is not two orthogonal unit vectors", hint="the header is wrong at its source")
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)  # type: ignore[no-any-return]


def group_orientations(orientations: Floats, tolerance: float = ORIENTATION_TOLERANCE) -> list[list[int]]:
    """Indices of slices that share an orientation, largest group first. ``orientations``: (N, 6)."""
    groups: list[tuple[Floats, list[int]]] = []
    for index, orientation in enumerate(orientations):
        for first, members in groups:
            if np.abs(first - orientation).max() <= tolerance:
                members.append(index)
                break
        else:
            groups.append((orientation, [index]))
    return sorted((members for _, members in groups), key=len, reverse=True)


def along(positions: Floats, normal: Floats) -> Floats:
    """Distance of each slice along the normal, mm. ``positions``: (N, 3)."""
    return positions @ normal


def same_places(distances: Floats, tolerance_mm: float = SAME_POSITION_MM) -> list[list[int]]:
    """Groups of two or more indices that lie at one place along the normal."""
    order = np.argsort(distances, kind="stable")
    groups: list[list[int]] = []
    current = [int(order[0])] if len(order) else []
    for before, index in pairwise(order):
        if distances[index] - distances[before] <= tolerance_mm:
            current.append(int(index))
            continue
        if len(current) > 1:
            groups.append(current)
        current = [int(index)]
    if len(current) > 1:
        groups.append(current)
    return groups


def stack(positions: Floats, normal: Floats, *, tilted: bool = False) -> Stack:
    """Put slices with one orientation and distinct positions in order along the normal.

    Parameters
    ----------
    positions
        (N, 3), Image Position (Patient), mm.
    normal
        (3,), unit.
    tilted
        Take the slices of a tilted gantry as they are; the caller moves them upright (``imaging.volume.gantry_tilt``).

    Raises
    ------
    GeometryError
        Too few slices, a gap, uneven spacing, a tilted gantry (unless ``tilted``), or positions that are not on one line. The
        message names it.
    """
    if len(positions) < 2:
        raise GeometryError(f"too few slices: at least 2 expected, {len(positions)} came")
    distances = along(positions, normal)
    order = np.argsort(distances, kind="stable")
    steps = np.diff(distances[order])
    check_steps(steps)
    ordered = positions[order]
    total = ordered[-1] - ordered[0]
    mean = total / (len(order) - 1)
    angle = _check_line(ordered, mean, normal, MOST_TILT_DEGREES if tilted else TILT_DEGREES)
    spacing = float(mean @ normal) if angle > TILT_DEGREES else float(np.linalg.norm(mean))
    return Stack(tuple(int(i) for i in order), normal, mean, spacing)


def check_steps(steps: Floats) -> None:
    """Steps between neighbours along the normal, mm, all above zero: even, or `GeometryError` naming gap or uneven spacing.

    The rule is the lower median step, so that gaps never become the rule, evened out over the steps like it; many double steps are
    two spacings in one series rather than holes. Rounded positions are tolerated: a tenth of the step, or 0.1 mm where that is at
    most a third of it.
    """
    rule = float(np.sort(steps)[(len(steps) - 1) // 2])
    tolerance = max(_SPACING_TOLERANCE * rule, min(_ROUNDING_MM, rule / 3)) + 1e-6
    rule = float(steps[np.abs(steps - rule) <= 2 * tolerance].mean())
    tolerance += min(_ROUNDING_MM, rule / 3) / len(steps)  # by which rounded ends put the mean of few steps off
    ratios = steps / rule
    wholes = np.round(ratios)
    off = np.abs(steps - rule) > tolerance
    gaps = off & (wholes >= 2) & (np.abs(steps - wholes * rule) <= tolerance * np.maximum(wholes, 1))
    if gaps.any() and not (off & ~gaps).any() and int(gaps.sum()) <= max(2, len(steps) // 4):
        first = int(np.argmax(gaps))
        missing = int((wholes[gaps] - 1).sum())
        raise GeometryError(
            f"a gap: {missing} slice(s) missing; after slice {first + 1} the step is {steps[first]:.2f} mm where {rule:.2f} mm is the rule",
            hint="send the missing slices; the series is analysed again when they come",
        )
    if off.any():
        raise GeometryError(f"uneven spacing: steps from {steps.min():.2f} to {steps.max():.2f} mm", hint="reconstruct with even spacing")
    drift = np.abs(np.cumsum(steps) - np.arange(1, len(steps) + 1) * steps.mean()).max()
    if drift > max(rule / 2, tolerance):
        raise GeometryError(f"uneven spacing: slices drift {drift:.2f} mm off even places", hint="reconstruct with even spacing")


def tilt_degrees(step: Floats, normal: Floats) -> float:
    """Between the direction from slice to slice and the slices' normal (unit)."""
    forward = float(step @ normal)
    return float(np.degrees(np.arctan2(np.linalg.norm(step - forward * normal), forward)))


def _check_line(ordered: Floats, mean: Floats, normal: Floats, most_degrees: float) -> float:
    """The tilt in degrees, at most ``most_degrees``."""
    angle = tilt_degrees(mean, normal)
    if angle > most_degrees:
        raise GeometryError(
            f"tilt: slices are stacked {angle:.1f} degrees off their normal (gantry tilt)", hint="resample to upright slices"
        )
    ideal = ordered[0] + np.arange(len(ordered))[:, None] * mean
    residual = ordered - ideal
    residual -= (residual @ normal)[:, None] * normal
    worst = float(np.linalg.norm(residual, axis=1).max())
    if worst > 1.0:
        raise GeometryError(f"slices are shifted sideways by up to {worst:.1f} mm against each other")
    return angle
