"""Values as people read them."""

import pytest

from console.formats import format_error, format_iso_moment, format_sentence
from core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "said"),
    [("no route takes modality MR", "No route takes modality MR"), ("chest CT: Modality is MR", "Chest CT: Modality is MR"), ("", "")],
)
def test_only_the_first_letter_becomes_a_capital(text: str, said: str) -> None:
    assert format_sentence(text) == said


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConfigurationError("a password has 12 characters", hint="several words are easy to remember"),
         "A password has 12 characters. Several words are easy to remember."),
        (ConfigurationError("there is no user 9"), "There is no user 9."),
        (ValueError("Try again."), "Try again."),
    ],
)  # fmt: skip
def test_an_error_is_a_sentence_and_its_hint_the_next_one(error: Exception, said: str) -> None:
    assert format_error(error) == said


def test_a_time_that_a_row_has_as_text_is_one_of_utc() -> None:
    assert format_iso_moment("2026-11-30T13:00:05.123456+01:00") == "2026-11-30 12:00:05 UTC"
