"""Matches findings of two examinations by their places in the organ, only where no other match is likely.

Two examinations share no frame of reference: the patient lies elsewhere and breathes otherwise. A place is therefore given as a share of
the part of the organ that the finding lies in (`core.records.OrganPlace`), and the difference of two shares is brought back to millimetres
by the mean extent of that part in both examinations. What is left is the error of this map, some millimetres to a few centimetres, and
the limits are chosen for it (measured: docs/models/lung_nodule_ct-training.md#two-examinations).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from core.records import OrganPlace

LIMIT_MM = 15.0  # a match is not further away
CLEARLY_FURTHER = 2.0  # the next finding on either side is at least so many times as far away as the match
LEAST_FURTHER_MM = 10.0  # and at least so much further
MOST_RATIO = 2.5  # of the diameters: one nodule that grows so much between two examinations is rarer than two nodules

NO_PLACE = "its place in the lung is not known"
NO_PLACES_BEFORE = "the places of the earlier findings in the lung are not known"
NOTHING_BEFORE = "the earlier result has no finding"
NONE_NEAR = f"no earlier finding lies within {LIMIT_MM:g} mm of its place in the same lung"
SEVERAL_NEAR = "several findings lie near each other, so that the match would be a guess"
OTHER_SIZE = f"the earlier finding at this place has more than {MOST_RATIO:g} times another diameter"
REJECTED_BEFORE = "a clinician has rejected the earlier finding at this place"


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding with what matching needs. ``side``: left or right; "" where it is not known, as ``place`` None."""

    number: int
    side: str
    place: OrganPlace | None
    diameter_mm: float | None = None
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The earlier finding that matches, by its number, and the distance of both places; else None and the reason."""

    number: int | None
    distance_mm: float | None = None
    reason: str = ""


def distance_mm(one: OrganPlace, other: OrganPlace) -> float:
    """Return the distance of two places in a part of the organ of the mean extent of both."""
    along = zip(one.share, other.share, one.extent_mm, other.extent_mm, strict=True)
    return math.hypot(*((first - second) * (here + there) / 2 for first, second, here, there in along))


def match_findings(now: Sequence[PlacedFinding], before: Sequence[PlacedFinding]) -> dict[int, Match]:
    """Return the match of each finding of ``now``, by its number. No finding of ``before`` is matched twice."""
    return {finding.number: _match(finding, now, before) for finding in now}


def _match(finding: PlacedFinding, now: Sequence[PlacedFinding], before: Sequence[PlacedFinding]) -> Match:
    if not before:
        return Match(None, reason=NOTHING_BEFORE)
    if finding.place is None or not finding.side:
        return Match(None, reason=NO_PLACE)
    if all(other.place is None or not other.side for other in before):
        return Match(None, reason=NO_PLACES_BEFORE)
    forward = _nearest(finding, before)
    if not forward or forward[0][0] > LIMIT_MM:
        return Match(None, reason=NONE_NEAR)
    distance, other = forward[0]
    backward = _nearest(other, now)
    if backward[0][1].number != finding.number or not (_is_clear(forward) and _is_clear(backward)):
        return Match(None, reason=SEVERAL_NEAR)
    if other.rejected:
        return Match(None, reason=REJECTED_BEFORE)
    if not _sizes_fit(finding.diameter_mm, other.diameter_mm):
        return Match(None, reason=OTHER_SIZE)
    return Match(other.number, round(distance, 1))


def _nearest(finding: PlacedFinding, others: Sequence[PlacedFinding]) -> list[tuple[float, PlacedFinding]]:
    """The findings of the same side with their distances, the nearest first; of equal distances the lower number."""
    assert finding.place is not None, "the caller has asked"
    of_side = [other for other in others if other.side == finding.side]
    placed = [(distance_mm(finding.place, other.place), other) for other in of_side if other.place is not None]
    return sorted(placed, key=lambda one: (one[0], one[1].number))


def _is_clear(ordered: Sequence[tuple[float, PlacedFinding]]) -> bool:
    """Whether the second finding is clearly further away than the first."""
    if len(ordered) < 2:
        return True
    first, second = ordered[0][0], ordered[1][0]
    return second >= CLEARLY_FURTHER * first and second - first >= LEAST_FURTHER_MM


def _sizes_fit(one: float | None, other: float | None) -> bool:
    return one is None or other is None or max(one, other) <= MOST_RATIO * min(one, other)
