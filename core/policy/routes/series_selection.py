"""Selects the series of a study that is analysed, where a route says ``per_study = "best"``.

The order is the same for every model: axial before oblique or unknown; a reconstruction before a projection (MIP, MinIP, average); a volume
before fewer than 16 slices, which most models refuse; thin before thick, where less than 0.5 mm counts as 2.5 mm for its noise, and slices
with gaps between them (HRCT) as thick as their distance; a medium kernel before a smooth one, before an unknown one, before a
sharp one; ORIGINAL\\PRIMARY\\AXIAL before derived; more slices before fewer; the lower series number before the higher.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

from core.policy.slice_coverage import GAP_FACTOR, SAME_POSITION_MM, distance_along_normal
from core.records import InstanceHeader

NOISY_BELOW_MM, COUNTS_AS_MM = 0.5, 2.5
VOLUME_SLICES = 16
AXIAL_COSINE = 0.94  # the normal within 20 degrees of the head-foot axis
# Values of Image Type: of scanners and workstations, and of enhanced images (Derived Pixel Contrast and Volume Based Calculation
# Technique, PS3.3 C.8.16.2.1.3 and C.8.16.2.1.4).
PROJECTIONS = frozenset({
    "MIP", "MINIP", "PROJECTION IMAGE", "AVERAGE", "MAXIP", "VRT", "VOLREN", "MPR THICK",
    "MAXIMUM", "MINIMUM", "MEAN", "MAX_IP", "MIN_IP", "VOLUME_RENDER", "SURFACE_RENDER", "CURVED_MPR",
})  # fmt: skip
_SHARP = ("BONE", "LUNG", "EDGE", "SHARP", "ULTRA", "HIGH")
_SMOOTH = ("SOFT", "SMOOTH")
_MEDIUM = ("STANDARD", "STD", "CHEST", "DETAIL", "MEDIUM", "NORMAL")


@dataclass(frozen=True, slots=True)
class SeriesCandidate:
    """The properties of a series that decide. ``thickness_mm``, ``axial`` and ``step_mm`` are None where the headers do not say.

    ``kernel``: medium, smooth, unknown or sharp. ``original``: how many of ORIGINAL, PRIMARY and AXIAL the Image Type holds. ``step_mm``:
    the usual distance between two slices.
    """

    unit_id: int
    axial: bool | None
    projection: bool
    thickness_mm: float | None
    kernel: str
    original: int
    slices: int
    series_number: int | None
    step_mm: float | None = None

    @property
    def sampled_mm(self) -> float:
        """Thickness by which it is compared: of what one slice stands for, infinite where it is not known."""
        thickness, step = self.thickness_mm, self.step_mm
        if thickness is not None and thickness < NOISY_BELOW_MM:
            thickness = COUNTS_AS_MM
        if step is not None and (thickness is None or step > GAP_FACTOR * thickness):
            return round(step, 1)
        return inf if thickness is None else round(thickness, 1)


_KERNEL_ORDER = ("medium", "smooth", "unknown", "sharp")


def series_candidate(unit_id: int, headers: Sequence[InstanceHeader]) -> SeriesCandidate:
    """Return the candidate of a series from the headers of its images along the series; the one in the middle represents it."""
    header = headers[len(headers) // 2]
    image_type = [value.strip().upper() for value in header.image_type]
    axial = None
    if header.orientation is not None:
        axial = abs(distance_along_normal(header.orientation, (0.0, 0.0, 1.0))) >= AXIAL_COSINE
    return SeriesCandidate(
        unit_id=unit_id,
        axial=axial,
        projection=any(value in PROJECTIONS for value in image_type),
        thickness_mm=header.slice_thickness_mm,
        kernel=kernel_class(header.convolution_kernel),
        original=sum(word in image_type[:3] for word in ("ORIGINAL", "PRIMARY", "AXIAL")),
        slices=sum(one.number_of_frames for one in headers),
        series_number=header.series_number,
        step_mm=_usual_step_mm(headers),
    )


def _usual_step_mm(headers: Sequence[InstanceHeader]) -> float | None:
    """Median distance between slices at different positions."""
    distances = sorted(distance_along_normal(one.orientation, one.position) for one in headers if one.orientation and one.position)
    steps = [there - here for here, there in pairwise(distances) if there - here > SAME_POSITION_MM]
    return median(steps) if steps else None


def kernel_class(kernel: str) -> str:
    """Return ``medium``, ``smooth``, ``sharp`` or ``unknown`` for a vendor's name of a Convolution Kernel (0018,1210).

    Siemens: B30f, Br40, I70f, where the number is the sharpness. GE: words. Philips: letters A to E, YA to YD. Canon: FC numbers.
    """
    text = kernel.upper().strip()
    for words, name in ((_SHARP, "sharp"), (_SMOOTH, "smooth"), (_MEDIUM, "medium")):
        if any(word in text for word in words):
            return name
    siemens = re.match(r"[A-Z][A-Z]?(\d\d)[A-Z]?\b", text)
    if siemens and not text.startswith("FC"):
        number = int(siemens.group(1))
        return "smooth" if number < 30 else "medium" if number < 50 else "sharp"
    canon = re.match(r"FC(\d\d)", text)
    if canon:
        number = int(canon.group(1))
        return "sharp" if number in range(30, 40) or number in range(50, 60) or number in range(80, 90) else "medium"
    philips = {"A": "smooth", "B": "medium", "C": "medium", "D": "sharp", "E": "sharp"}
    if text in philips:
        return philips[text]
    return "sharp" if re.match(r"Y[A-D]\b", text) else "unknown"


def _sort_key(candidate: SeriesCandidate) -> tuple[float, ...]:
    """Key by which the best candidate comes first; its parts correspond to `_ADVANTAGES`."""
    return (
        {True: 0, None: 1, False: 2}[candidate.axial],
        candidate.projection,
        candidate.slices < VOLUME_SLICES,
        candidate.sampled_mm,
        _KERNEL_ORDER.index(candidate.kernel),
        -candidate.original,
        -candidate.slices,
        inf if candidate.series_number is None else candidate.series_number,
        candidate.unit_id,
    )


_ADVANTAGES = (
    "is axial",
    "is no projection",
    f"has {VOLUME_SLICES} slices or more",
    "has thinner slices",
    "has a better suited kernel",
    "is nearer to ORIGINAL\\PRIMARY\\AXIAL",
    "has more slices",
    "has the lower series number",
    "came first",
)


def best_series(candidates: Sequence[SeriesCandidate]) -> SeriesCandidate:
    """Return the candidate to analyse. ``candidates`` must not be empty."""
    return min(candidates, key=_sort_key)


def explain_choice(chosen: SeriesCandidate, other: SeriesCandidate) -> str:
    """Return the first property in which ``chosen`` is better than ``other``, in words without identifiers."""
    series = "another series" if chosen.series_number is None else f"series {chosen.series_number}"
    for ours, theirs, advantage in zip(_sort_key(chosen), _sort_key(other), _ADVANTAGES, strict=True):
        if ours != theirs:
            if advantage == "has thinner slices" and other.step_mm is not None and other.step_mm > GAP_FACTOR * (other.thickness_mm or inf):
                advantage = f"has less distance between slices ({chosen.sampled_mm:g} mm, {other.step_mm:.3g} mm here)"
            elif advantage == "has thinner slices" and chosen.thickness_mm is not None and other.thickness_mm is not None:
                advantage = f"{advantage} ({chosen.thickness_mm:g} mm, {other.thickness_mm:g} mm here)"
            return f"{series} {advantage}"
    return f"{series} was chosen"
