"""Whether the slices held so far make a series without gap or hole. Pure; no pixel is looked at.

Half a series sent first looks whole: this is why completeness asks for time as well (`core.policy.completeness`).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import median

from core.records import InstanceHeader, Lps

GAP_FACTOR = 1.5  # a step this much longer than the median step has room for a slice
SAME_PLACE_MM = 0.01
STRAY_SLICES = 3  # a group of another orientation as small as this is taken for localizers that do not say so


@dataclass(frozen=True, slots=True)
class Slice:
    """Where one instance lies. ``orientation``: row and column cosines; ``position``: LPS mm."""

    instance_number: int | None
    orientation: tuple[float, ...] | None
    position: Lps | None
    localizer: bool = False
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Wholeness:
    """``whole`` is False too where nothing can be judged; ``reason`` is in words."""

    whole: bool
    reason: str


def is_localizer(header: InstanceHeader) -> bool:
    """Image Type value 3 says so (PS3.3 C.8.2.1.1.1)."""
    return any(value.strip().upper() in {"LOCALIZER", "SCOUT"} for value in header.image_type)


def slice_of(header: InstanceHeader) -> Slice:
    """What `judge` needs of a header."""
    return Slice(header.instance_number, header.orientation, header.position, is_localizer(header), header.number_of_frames)


def along(orientation: Sequence[float], position: Lps) -> float:
    """The distance (mm) of a slice along its normal from the origin of the patient coordinates."""
    rx, ry, rz, cx, cy, cz = orientation
    normal = (ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx)
    length = sqrt(sum(part * part for part in normal)) or 1.0
    return sum(n * p for n, p in zip(normal, position, strict=True)) / length


def judge(slices: Iterable[Slice]) -> Wholeness:
    """Localizers are left out; every orientation must be without gap, and the instance numbers without hole.

    Multi-frame instances carry their geometry inside: they are not judged here.
    """
    held = list(slices)
    images = [one for one in held if not one.localizer]
    if any(one.frames > 1 for one in images):
        return Wholeness(False, "multi-frame instances: whether another one is to come cannot be seen")
    if len(images) < 2:
        return Wholeness(False, f"{len(images)} slice: whether more are to come cannot be seen")
    if any(one.orientation is None or one.position is None for one in images):
        return Wholeness(False, "slices without position or orientation")
    hole = _hole([one.instance_number for one in held])
    if hole:
        return Wholeness(False, hole)
    groups = _groups(images)
    largest = max(len(group) for group in groups)
    for group in groups:
        if len(group) <= STRAY_SLICES < largest:
            continue
        gap = _gap(group)
        if gap:
            return Wholeness(False, gap)
    return Wholeness(True, f"{len(images)} slices without gap")


def _hole(numbers: list[int | None]) -> str:
    """Instance numbers that are left out; series without usable numbers are judged by position alone."""
    known = {number for number in numbers if number is not None}
    if len(known) < 2:
        return ""
    missing = max(known) - min(known) + 1 - len(known)
    return f"{missing} instance numbers are missing in between" if missing else ""


def _groups(images: list[Slice]) -> list[list[Slice]]:
    by_orientation: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for one in images:
        assert one.orientation is not None  # judge() has looked
        by_orientation[tuple(round(part, 2) for part in one.orientation)].append(one)
    return list(by_orientation.values())


def _gap(group: list[Slice]) -> str:
    if len(group) < 2:
        return "a single slice of its orientation"
    first = group[0].orientation
    assert first is not None
    places = sorted(along(first, one.position) for one in group if one.position is not None)
    levels: list[list[float]] = [[places[0]]]
    for here, there in pairwise(places):
        if there - here > SAME_PLACE_MM:
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
