"""Findings are matched by their places in the organ, and only where the match is clear."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.priors import finding_matches
from core.policy.priors.finding_matches import LIMIT_MM, MOST_RATIO, PlacedFinding, match_findings
from core.records import OrganPlace

LUNG_MM = (110.0, 180.0, 260.0)


def placed(number: int, share: tuple[float, float, float], *, side: str = "Right", diameter_mm: float = 8.0) -> PlacedFinding:
    return PlacedFinding(number, side, OrganPlace(share, LUNG_MM), diameter_mm)


HERE, APART = placed(1, (0.5, 0.5, 0.5)), placed(2, (0.2, 0.2, 0.9))


def test_the_same_place_matches_and_the_distance_is_in_mm_of_the_mean_lung() -> None:
    before = replace(placed(7, (0.55, 0.5, 0.5)), place=OrganPlace((0.55, 0.5, 0.5), (90.0, 180.0, 260.0)))
    found = match_findings([HERE, APART], [before])
    assert (found[1].number, found[1].distance_mm) == (7, 5.0)
    assert (found[2].number, found[2].reason) == (None, finding_matches.NONE_NEAR)


def test_another_lung_is_no_match() -> None:
    assert match_findings([HERE], [replace(HERE, side="Left")])[1].number is None


@pytest.mark.parametrize(("share", "near"), [(LIMIT_MM / LUNG_MM[2] - 0.001, True), (LIMIT_MM / LUNG_MM[2] + 0.001, False)])
def test_a_match_is_within_the_limit(share: float, near: bool) -> None:
    assert (match_findings([HERE], [placed(1, (0.5, 0.5, 0.5 + share))])[1].number is not None) is near


def test_two_candidates_near_each_other_are_not_told_apart() -> None:
    beside = placed(2, (0.5, 0.5, 0.53))
    assert match_findings([HERE], [HERE, beside])[1].reason == finding_matches.SEVERAL_NEAR, "two earlier ones"
    found = match_findings([HERE, beside], [HERE])
    assert {one.reason for one in found.values()} == {finding_matches.SEVERAL_NEAR}, "two of now"
    assert match_findings([HERE, APART], [HERE, replace(APART, number=9)])[2].number == 9, "far from each other"


def test_the_earlier_finding_belongs_to_the_nearer_one() -> None:
    before = placed(5, (0.5, 0.5, 0.515))
    other = placed(3, (0.5, 0.5, 0.57))
    assert [match_findings([HERE, other], [before])[number].number for number in (1, 3)] == [5, None]


def test_sizes_that_contradict_each_other_are_no_match() -> None:
    assert match_findings([HERE], [replace(HERE, diameter_mm=8.0 * MOST_RATIO)])[1].number == 1
    assert match_findings([HERE], [replace(HERE, diameter_mm=8.0 * MOST_RATIO + 0.1)])[1].reason == finding_matches.OTHER_SIZE
    assert match_findings([HERE], [replace(HERE, diameter_mm=None)])[1].number == 1


def test_what_a_clinician_has_rejected_is_no_match_and_takes_no_other_ones_place() -> None:
    rejected = replace(HERE, rejected=True)
    assert match_findings([HERE], [rejected])[1].reason == finding_matches.REJECTED_BEFORE
    assert match_findings([HERE], [rejected, placed(2, (0.5, 0.5, 0.53))])[1].number is None


def test_without_a_place_there_is_no_match_and_the_reason_says_whose() -> None:
    nowhere = replace(HERE, place=None)
    assert match_findings([nowhere], [HERE])[1].reason == finding_matches.NO_PLACE
    assert match_findings([replace(HERE, side="")], [HERE])[1].reason == finding_matches.NO_PLACE
    assert match_findings([HERE], [nowhere])[1].reason == finding_matches.NO_PLACES_BEFORE
    assert match_findings([HERE], [])[1].reason == finding_matches.NOTHING_BEFORE


SHARES = st.tuples(*[st.floats(0, 1)] * 3)
FINDINGS = st.lists(st.tuples(SHARES, st.sampled_from(["Right", "Left"]), st.floats(3, 30)), max_size=6).map(
    lambda found: [placed(number, share, side=side, diameter_mm=size) for number, (share, side, size) in enumerate(found, 1)]
)


@given(now=FINDINGS, before=FINDINGS)
def test_no_earlier_finding_is_matched_twice_and_the_way_back_is_the_same(now: list[PlacedFinding], before: list[PlacedFinding]) -> None:
    found = {number: match.number for number, match in match_findings(now, before).items()}
    assert set(found) == {one.number for one in now}
    matched = [number for number in found.values() if number is not None]
    assert len(matched) == len(set(matched))
    back = {number: match.number for number, match in match_findings(before, now).items() if match.number is not None}
    assert back == {there: here for here, there in found.items() if there is not None}
    assert all((match.number is None) == bool(match.reason) for match in match_findings(now, before).values())
