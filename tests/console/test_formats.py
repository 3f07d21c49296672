"""Values as people read them."""

from datetime import UTC, datetime

import pytest

from console.formats import FILTERS, filters_in, format_error, format_iso_moment, format_picture, format_sentence
from core.errors import ConfigurationError
from core.time_zone import find_zone


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


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("Europe/Berlin", ["2026-10-25 02:30:00 +02:00", "2026-10-25 02:30:00 +01:00"]),
        ("Asia/Tokyo", ["2026-10-25 09:30:00 +09:00", "2026-10-25 10:30:00 +09:00"]),
        ("America/New_York", ["2026-10-24 20:30:00 -04:00", "2026-10-24 21:30:00 -04:00"]),
        ("UTC", ["2026-10-25 00:30:00 UTC", "2026-10-25 01:30:00 UTC"]),
    ],
)
def test_times_of_an_hour_that_occurs_twice_are_told_apart(zone: str, shown: list[str]) -> None:
    """Summer time ends in Berlin at 01:00 UTC on this day."""
    moment = filters_in(find_zone(zone))["moment"]
    assert [moment(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)] == shown


def test_a_date_after_a_week_is_that_of_the_zone() -> None:
    late = datetime(2026, 3, 10, 22, 30, tzinfo=UTC)
    filters = filters_in(find_zone("Asia/Tokyo"))
    assert filters["ago"](late) == filters["iso_ago"](late.isoformat()) == "2026-03-11"
    assert filters["utc"](late) == "2026-03-10 22:30:00 UTC"
    assert FILTERS["ago"](late) == "2026-03-10"
    assert (filters["moment"](None), filters["ago"](None)) == ("", "")


@pytest.mark.parametrize(
    ("modality", "called"), [("DMS", "Photograph"), ("XC", "Photograph"), ("DX", "Image"), ("US", "Image"), ("", "Image")]
)
def test_a_radiograph_is_not_called_a_photograph(modality: str, called: str) -> None:
    assert format_picture(modality) == called
