"""What outcomes and tiers mean in words."""

import pytest

from core.policy.result_words import MEANINGS, TIERS, outcome_headline
from core.states import Outcome, Tier


def test_every_outcome_and_every_tier_has_its_words() -> None:
    assert set(MEANINGS) == set(Outcome)
    assert set(TIERS) == set(Tier)
    assert len({outcome_headline(outcome, 2) for outcome in Outcome}) == len(Outcome)


@pytest.mark.parametrize(
    ("outcome", "warning"),
    [
        (Outcome.FINDINGS, "What is not listed is not excluded."),
        (Outcome.NO_FINDING, "This excludes nothing."),
        (Outcome.ABSTAINED, "neither a positive nor a negative result"),
        (Outcome.NOT_ANALYSED, "This is no negative result."),
    ],
)
def test_no_outcome_is_said_to_exclude_a_disease(outcome: Outcome, warning: str) -> None:
    assert warning in MEANINGS[outcome]


def test_findings_are_counted() -> None:
    assert [outcome_headline(Outcome.FINDINGS, count) for count in (1, 3)] == ["1 finding", "3 findings"]
