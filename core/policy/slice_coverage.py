"""Checks whether the slices held so far form a series without gap. Looks at headers only, not at pixels.

Half a series that is sent first has no gap either: this is why `core.policy.completeness` asks for time as well.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import median

from core.counted import counted
from core.records import InstanceHeader, Lps

GAP_FACTOR = 1.5  # a distance this much longer than the median distance has room for a missing slice
SAME_POSITION_MM = 0.01
STRAY_SLICES = 3  # a group of another orientation with at most this many slices is taken for localizers that are not marked as such


@dataclass(frozen=True, slots=True)
class SliceLocation:
    """Where one instance lies. ``orientation``: row and column cosines; ``position``: LPS, mm."""

    instance_number: int | None
    orientation: tuple[float, ...] | None
    position: Lps | None
    localizer: bool = False
    frames: int = 1


@dataclass(frozen=True, slots=True)
class SliceCoverage:
    """Whether slices cover their range without gap, with the reason in words. ``complete`` is False too where it cannot be known."""

    complete: bool
    reason: str


def names_localizer(image_type: Iterable[str]) -> bool:
    """Whether an Image Type is that of a localizer (value 3, PS3.3 C.8.2.1.1.1); some scanners write SCOUT."""
    return any(value.strip().upper() in {"LOCALIZER", "SCOUT"} for value in image_type)


def is_localizer(header: InstanceHeader) -> bool:
    """Whether Image Type marks the instance as a localizer."""
    return names_localizer(header.image_type)


def slice_location(header: InstanceHeader) -> SliceLocation:
    """Return the location that `check_slice_coverage` needs of a header."""
    return SliceLocation(header.instance_number, header.orientation, header.position, is_localizer(header), header.number_of_frames)


def distance_along_normal(orientation: Sequence[float], position: Lps) -> float:
    """Return the distance (mm) of a slice from the origin of the patient coordinates along its normal."""
    rx, ry, rz, cx, cy, cz = orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = sqrt(sum(part * part for part in normal)) or 1.0
    return sum(n * p for n, p in zip(normal, position, strict=True)) / length


def check_slice_coverage(slices: Iterable[SliceLocation]) -> SliceCoverage:
    """Return whether no slice is missing in between.

    Localizers are left out. Every orientation must be without gap, and no instance number may be missing. Multi-frame instances carry
    their geometry inside: they cannot be judged here.
    """
    held = list(slices)
    images = [location for location in held if not location.localizer]
    if any(location.frames > 1 for location in images):
        return SliceCoverage(False, "multi-frame instances: whether another one is to come cannot be seen")
    if len(images) < 2:
        return SliceCoverage(False, f"{counted(len(images), 'slice')}: whether more are to come cannot be seen")
    if any(location.orientation is None or location.position is None for location in images):
        return SliceCoverage(False, "slices without position or orientation")
    missing = _missing_numbers([location.instance_number for location in held])
    if missing:
        return SliceCoverage(False, missing)
    groups = _groups_by_orientation(images)
    largest = max(len(group) for group in groups)
    for group in groups:
        if len(group) <= STRAY_SLICES < largest:
            continue
        gap = _gap_in(group)
        if gap:
            return SliceCoverage(False, gap)
    return SliceCoverage(True, f"{len(images)} slices without gap")


def _missing_numbers(numbers: list[int | None]) -> str:
    """Say how many instance numbers are missing in between; "" where none is, or where fewer than two are known."""
    known = {number for number in numbers if number is not None}
    if len(known) < 2:
        return ""
    missing = max(known) - min(known) + 1 - len(known)
    words = counted(missing, "instance number is", "instance numbers are")
    return f"{words} missing in between" if missing else ""


def _groups_by_orientation(images: list[SliceLocation]) -> list[list[SliceLocation]]:
    groups: dict[tuple[float, ...], list[SliceLocation]] = defaultdict(list)
    for location in images:
        assert location.orientation is not None  # check_slice_coverage has checked it
        groups[tuple(round(part, 2) for part in location.orientation)].append(location)
    return list(groups.values())


def _gap_in(group: list[SliceLocation]) -> str:
    """Say where slices of one orientation have a gap; "" where they have none."""
    if len(group) < 2:
        return "a single slice of its orientation"
    orientation = group[0].orientation
    assert orientation is not None
    distances = sorted(distance_along_normal(orientation, location.position) for location in group if location.position is not None)
    levels: list[list[float]] = [[distances[0]]]  # distances of slices at the same position
    for here, there in pairwise(distances):
        if there - here > SAME_POSITION_MM:
            levels.append([])
        levels[-1].append(there)
    if len({len(level) for level in levels}) > 1:
        return "not every slice position is held equally often"
    if len(levels) < 2:
        return "all slices lie at one position"
    steps = [there[0] - here[0] for here, there in pairwise(levels)]
    usual = median(steps)
    wide = sum(step > GAP_FACTOR * usual for step in steps)
    return f"{wide} gaps between slices wider than {GAP_FACTOR:g} times the usual step of {usual:.3f} mm" if wide else ""
