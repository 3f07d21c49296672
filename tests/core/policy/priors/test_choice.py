"""Which earlier results a result is compared with."""

from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.priors.choice import Examination, PriorCandidate, PriorRule, choose_priors, days_before

CHEST = {"Modality": "CT", "BodyPartExamined": "CHEST", "SeriesDescription": "Lung 1.0"}
THIS = Examination("20260102", "101500", CHEST)
RULE = PriorRule(1, 365, ("Modality", "BodyPartExamined"))


def earlier(job_id: int, day: str, time: str = "", **attributes: str) -> PriorCandidate:
    """Return a result of a study of its own."""
    return PriorCandidate(job_id, job_id, Examination(day, time, CHEST | attributes), findings=1)


def chosen(*candidates: PriorCandidate, rule: PriorRule = RULE, this: Examination = THIS) -> list[int]:
    return [one.candidate.job_id for one in choose_priors(rule, this, candidates)]


def test_the_newest_first_and_at_most_so_many() -> None:
    results = [earlier(3, "20250301"), earlier(1, "20251101"), earlier(2, "20250601")]
    assert chosen(*results) == [1]
    assert chosen(*results, rule=replace(RULE, count=2)) == [1, 2]
    assert chosen(*results, rule=replace(RULE, count=5)) == [1, 2, 3]


@pytest.mark.parametrize(("day", "taken"), [("20250102", True), ("20250101", False), ("20260103", False), ("", False), ("2025", False)])
def test_only_of_earlier_studies_within_the_days(day: str, taken: bool) -> None:
    assert chosen(earlier(1, day)) == ([1] if taken else [])


@pytest.mark.parametrize(
    ("time", "this", "taken"),
    [("0900", "101500", True), ("101500.1", "101500.2", False), ("1130", "101500", False), ("", "101500", False), ("0900", "", False)],
)
def test_two_studies_of_one_day_are_ordered_by_their_times(time: str, this: str, taken: bool) -> None:
    """A fraction of a second makes none of them the earlier one, nor does a missing time."""
    assert chosen(earlier(1, "20260102", time), this=replace(THIS, study_time=this)) == ([1] if taken else [])


def test_what_must_be_the_same_is_present_and_equal() -> None:
    assert chosen(earlier(1, "20251101", BodyPartExamined=" chest ")) == [1]
    assert chosen(earlier(1, "20251101", BodyPartExamined="ABDOMEN")) == []
    assert chosen(earlier(1, "20251101", BodyPartExamined="")) == []
    nowhere = replace(THIS, attributes=CHEST | {"BodyPartExamined": ""})
    assert chosen(earlier(1, "20251101", BodyPartExamined=""), this=nowhere) == []
    assert chosen(earlier(1, "20251101", BodyPartExamined=""), rule=replace(RULE, same=())) == [1]


def test_one_result_of_each_study_that_of_the_same_series_if_there_is_one() -> None:
    thin, thick = earlier(1, "20251101"), earlier(9, "20251101", SeriesDescription="Thick")
    same_study = [replace(one, study_id=5) for one in (thin, thick)]
    assert chosen(*same_study, rule=replace(RULE, count=5)) == [1]
    other = replace(THIS, attributes=CHEST | {"SeriesDescription": "Other"})
    assert chosen(*same_study, this=other) == [9], "the result that was made last"


def test_a_result_that_a_clinician_has_rejected_altogether_is_left_out() -> None:
    result = replace(earlier(1, "20251101"), findings=2, rejected=(1,))
    assert chosen(result) == [1]
    assert chosen(replace(result, rejected=(1, 2))) == []
    assert chosen(replace(result, findings=0, rejected=())) == [1], "a result without findings is one to compare with"


DATES = st.dates(min_value=date(2020, 1, 1), max_value=date(2026, 12, 31))


@given(days=st.lists(DATES, max_size=8), count=st.integers(1, 5), within=st.integers(1, 2000), order=st.randoms())
def test_the_choice_does_not_depend_on_the_order_of_the_candidates(days: list[date], count: int, within: int, order: Random) -> None:
    candidates = [earlier(number, f"{day:%Y%m%d}") for number, day in enumerate(days)]
    rule = PriorRule(count, within, ("Modality",))
    found = choose_priors(rule, THIS, candidates)
    order.shuffle(candidates)
    assert choose_priors(rule, THIS, candidates) == found
    assert len(found) == min(count, sum(0 < (date(2026, 1, 2) - day).days <= within for day in days))
    assert [one.days for one in found] == sorted(one.days for one in found)
    assert all(days_before(one.candidate.examination, THIS) == one.days for one in found)
