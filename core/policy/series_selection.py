"""Which series of a study is analysed, where a route says ``per_study = "best"``. Pure.

The order is the same for every model and documented here: axial before oblique or unknown; a reconstruction before a
projection (MIP, MinIP, average); thin before thick, where less than 0.5 mm counts as 2.5 mm for its noise; a medium
kernel before a smooth one, before an unknown one, before a sharp one; ORIGINAL\\PRIMARY\\AXIAL before derived; more
slices before fewer; the lower series number before the higher.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from core.policy.slice_coverage import along
from core.records import InstanceHeader

NOISY_BELOW_MM, COUNTS_AS_MM = 0.5, 2.5
AXIAL_COSINE = 0.94  # the normal within 20 degrees of the head-foot axis
PROJECTIONS = frozenset({"MIP", "MINIP", "PROJECTION IMAGE", "AVERAGE", "MAXIP", "VRT", "VOLREN", "MPR THICK"})  # values of Image Type
_SHARP = ("BONE", "LUNG", "EDGE", "SHARP", "ULTRA", "HIGH")
_SMOOTH = ("SOFT", "SMOOTH")
_MEDIUM = ("STANDARD", "STD", "CHEST", "DETAIL", "MEDIUM", "NORMAL")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A series as the choice sees it. ``thickness_mm`` and ``axial`` are None where the header does not say."""

    unit_id: int
    axial: bool | None
    projection: bool
    thickness_mm: float | None
    kernel: str  # "medium", "smooth", "unknown", "sharp"
    original: int  # how many of ORIGINAL, PRIMARY, AXIAL the image type says
    slices: int
    series_number: int | None


_KERNELS = ("medium", "smooth", "unknown", "sharp")


def candidate(unit_id: int, header: InstanceHeader, slices: int) -> Candidate:
    """A candidate from the header of the series' representative instance."""
    image_type = [value.strip().upper() for value in header.image_type]
    axial = None
    if header.orientation is not None:
        axial = abs(along(header.orientation, (0.0, 0.0, 1.0))) >= AXIAL_COSINE
    return Candidate(
        unit_id=unit_id,
        axial=axial,
        projection=any(value in PROJECTIONS for value in image_type),
        thickness_mm=header.slice_thickness_mm,
        kernel=kernel_class(header.convolution_kernel),
        original=sum(word in image_type[:3] for word in ("ORIGINAL", "PRIMARY", "AXIAL")),
        slices=slices,
        series_number=header.series_number,
    )


def kernel_class(kernel: str) -> str:
    """``medium``, ``smooth``, ``sharp`` or ``unknown``, of the names that vendors give (0018,1210).

    Siemens: B30f, Br40, I70f: the number is the sharpness. GE: words. Philips: letters A to E, YA to YD. Canon: FC numbers.
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


def _key(one: Candidate) -> tuple[float, ...]:
    thickness = inf if one.thickness_mm is None else one.thickness_mm
    if thickness < NOISY_BELOW_MM:
        thickness = COUNTS_AS_MM
    return (
        {True: 0, None: 1, False: 2}[one.axial],
        one.projection,
        round(thickness, 1),
        _KERNELS.index(one.kernel),
        -one.original,
        -one.slices,
        inf if one.series_number is None else one.series_number,
        one.unit_id,
    )


_REASONS = (
    "is axial",
    "is no projection",
    "has thinner slices",
    "has a better suited kernel",
    "is nearer to ORIGINAL\\PRIMARY\\AXIAL",
    "has more slices",
    "has the lower series number",
    "came first",
)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate to analyse. ``candidates`` must not be empty."""
    return min(candidates, key=_key)


def why(winner: Candidate, other: Candidate) -> str:
    """The first thing in which ``winner`` is better than ``other``, in words without identifiers."""
    named = "another series" if winner.series_number is None else f"series {winner.series_number}"
    for mine, theirs, reason in zip(_key(winner), _key(other), _REASONS, strict=True):
        if mine != theirs:
            if reason == "has thinner slices" and winner.thickness_mm is not None and other.thickness_mm is not None:
                reason = f"{reason} ({winner.thickness_mm:g} mm, {other.thickness_mm:g} mm here)"
            return f"{named} {reason}"
    return f"{named} was chosen"
