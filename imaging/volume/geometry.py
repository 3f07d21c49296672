"""Checks that slices make a volume, from their positions and orientations alone (PS3.3 C.7.6.2). LPS millimetres; no I/O.

Instance numbers, Slice Location and Spacing Between Slices are not used: they are often wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from core.counted import counted
from core.errors import GeometryError
from core.policy.slice_coverage import SAME_POSITION_MM

Floats = NDArray[np.float64]

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine; headers give five or six decimals
TILT_DEGREES = 1.0
MAX_TILT_DEGREES = 35.0  # gantries tilt less
_SPACING_TOLERANCE = 0.1  # of the step
_ROUNDING_MM = 0.1  # positions are often written with one decimal


@dataclass(frozen=True, slots=True)
class SliceStack:
    """Slices in order along their normal.

    ``order``: indices into the positions that were given. ``step``: (3,) mean displacement from slice to slice, mm. ``spacing_mm``: the
    length of the step; of a tilted stack its length along the normal.
    """

    order: tuple[int, ...]
    normal: Floats
    step: Floats
    spacing_mm: float


def slice_normal(orientation: Sequence[float]) -> Floats:
    """The unit normal of an orientation, row x column. Raises `GeometryError` if it is not two orthogonal unit vectors."""
    row, column = np.asarray(orientation[:3], float), np.asarray(orientation[3:], float)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1.0, atol=1e-2) or abs(float(row @ column)) > 1e-2:
        raise GeometryError("Image Orientation (Patient) is not two orthogonal unit vectors", hint="the header is wrong at its source")
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)  # type: ignore[no-any-return]


def group_orientations(orientations: Floats) -> list[list[int]]:
    """Indices of slices that share an orientation, largest group first. ``orientations``: (N, 6)."""
    groups: list[tuple[Floats, list[int]]] = []
    for index, orientation in enumerate(orientations):
        for first, members in groups:
            if np.abs(first - orientation).max() <= ORIENTATION_TOLERANCE:
                members.append(index)
                break
        else:
            groups.append((orientation, [index]))
    return sorted((members for _, members in groups), key=len, reverse=True)


def distances_along_normal(positions: Floats, normal: Floats) -> Floats:
    """Position of each slice along the normal, mm. ``positions``: (N, 3)."""
    return positions @ normal


def group_same_positions(distances: Floats) -> list[list[int]]:
    """Groups of two or more indices whose positions along the normal are the same."""
    order = np.argsort(distances, kind="stable")
    groups: list[list[int]] = []
    current = [int(order[0])] if len(order) else []
    for before, index in pairwise(order):
        if distances[index] - distances[before] <= SAME_POSITION_MM:
            current.append(int(index))
            continue
        if len(current) > 1:
            groups.append(current)
        current = [int(index)]
    if len(current) > 1:
        groups.append(current)
    return groups


def stack_slices(positions: Floats, normal: Floats, *, tilted: bool = False) -> SliceStack:
    """Put slices with one orientation and distinct positions in order along the normal.

    Parameters
    ----------
    positions
        (N, 3), Image Position (Patient), mm.
    normal
        (3,), unit.
    tilted
        Accept the slices of a tilted gantry; the caller shifts them above each other (`imaging.volume.gantry_tilt`).

    Raises
    ------
    GeometryError
        Too few slices, a gap, uneven spacing, a tilted gantry (unless ``tilted``), or positions that are not on one line. The
        message names it.
    """
    if len(positions) < 2:
        raise GeometryError(f"too few slices: at least 2 expected, {len(positions)} came")
    distances = distances_along_normal(positions, normal)
    order = np.argsort(distances, kind="stable")
    steps = np.diff(distances[order])
    check_steps(steps)
    ordered = positions[order]
    total = ordered[-1] - ordered[0]
    mean = total / (len(order) - 1)
    angle = _check_line(ordered, mean, normal, MAX_TILT_DEGREES if tilted else TILT_DEGREES)
    spacing = float(mean @ normal) if angle > TILT_DEGREES else float(np.linalg.norm(mean))
    return SliceStack(tuple(int(i) for i in order), normal, mean, spacing)


def check_steps(steps: Floats) -> None:
    """Check that slices are evenly spaced. ``steps``: distances between neighbours along the normal, mm, all above zero.

    The usual step is the lower median, so that gaps do not influence it, averaged over the steps close to it. Many double steps are
    taken for two spacings in one series rather than for gaps. Rounded positions are tolerated: a tenth of the step, or 0.1 mm where
    that is at most a third of it.

    Raises
    ------
    GeometryError
        Missing slices, or uneven spacing. The message says which.
    """
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])
    tolerance = max(_SPACING_TOLERANCE * usual, min(_ROUNDING_MM, usual / 3)) + 1e-6
    usual = float(steps[np.abs(steps - usual) <= 2 * tolerance].mean())
    tolerance += min(_ROUNDING_MM, usual / 3) / len(steps)  # rounded end positions shift the mean of few steps by so much
    ratios = steps / usual
    multiples = np.round(ratios)
    uneven = np.abs(steps - usual) > tolerance
    gaps = uneven & (multiples >= 2) & (np.abs(steps - multiples * usual) <= tolerance * np.maximum(multiples, 1))
    if gaps.any() and not (uneven & ~gaps).any() and int(gaps.sum()) <= max(2, len(steps) // 4):
        first = int(np.argmax(gaps))
        missing = int((multiples[gaps] - 1).sum())
        raise GeometryError(
            f"a gap: {counted(missing, 'slice is', 'slices are')} missing; after slice {first + 1} the step is {steps[first]:.2f} mm where "
            f"{usual:.2f} mm is usual",
            hint="send the missing slices; the series is analysed again when they come",
        )
    if uneven.any():
        raise GeometryError(f"uneven spacing: steps from {steps.min():.2f} to {steps.max():.2f} mm", hint="reconstruct with even spacing")
    drift = np.abs(np.cumsum(steps) - np.arange(1, len(steps) + 1) * steps.mean()).max()
    if drift > max(usual / 2, tolerance):
        raise GeometryError(f"uneven spacing: slices drift {drift:.2f} mm away from even positions", hint="reconstruct with even spacing")


def angle_to_normal_degrees(step: Floats, normal: Floats) -> float:
    """The angle between the direction from slice to slice and the slices' unit normal."""
    forward = float(step @ normal)
    return float(np.degrees(np.arctan2(np.linalg.norm(step - forward * normal), forward)))


def _check_line(ordered: Floats, mean: Floats, normal: Floats, max_degrees: float) -> float:
    """Check that slices lie on one line and return its tilt, degrees. Raises `GeometryError` above ``max_degrees``."""
    angle = angle_to_normal_degrees(mean, normal)
    if angle > max_degrees:
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
