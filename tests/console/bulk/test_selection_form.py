"""What the values of a selection mean: times of the site's clock, reasons as they are stored, lists that keep what was chosen."""

from zoneinfo import ZoneInfo

import pytest

from console.bulk.selection_form import LONGEST_VALUE, check_order, choice_field, read_time, read_value, time_field
from core.errors import ConfigurationError

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("2026-07-01T08:00", "2026-07-01T06:00:00+00:00"),
        ("2026-12-01T08:00", "2026-12-01T07:00:00+00:00"),
        ("2026-12-01", "2026-11-30T23:00:00+00:00"),
        ("2026-12-01T08:00:30.5+00:00", "2026-12-01T08:00:30.500000+00:00"),
        (" ", ""),
    ],
)
def test_a_time_without_an_offset_is_one_of_the_site(given: str, read: str) -> None:
    assert read_time({"since": given}, "since", BERLIN) == read


@pytest.mark.parametrize("given", ["yesterday", "2026-13-01T00:00", "0001-01-01T00:00", "9999-12-31T23:59-10:00", "8\x00"])
def test_what_is_no_time_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(ConfigurationError):
        read_time({"since": given}, "since", BERLIN)
    assert time_field({"since": given}, "since", "From", BERLIN).value == ""


def test_the_field_shows_the_time_of_the_site_again() -> None:
    assert time_field({"since": "2026-07-01T06:00:00+00:00"}, "since", "From", BERLIN).value == "2026-07-01T08:00"


@pytest.mark.parametrize("until", ["2026-01-01T00:00:00+00:00", "2025-01-01T00:00:00+00:00"])
def test_a_time_that_ends_before_it_begins_is_refused(until: str) -> None:
    with pytest.raises(ConfigurationError, match="not after its beginning"):
        check_order({"since": "2026-01-01T00:00:00+00:00", "until": until})
    check_order({"since": "", "until": until})


def test_a_reason_stays_as_it_is_stored() -> None:
    assert read_value({"cause": " first line\r\nsecond "}, "cause") == " first line\nsecond "
    for wrong in ("x" * (LONGEST_VALUE + 1), "\x00"):
        with pytest.raises(ConfigurationError):
            read_value({"cause": wrong}, "cause")


def test_a_list_keeps_what_was_chosen_and_cuts_what_is_long() -> None:
    field = choice_field({"cause": "gone"}, "cause", "Reason", "every reason", [("long " * 40, "long " * 40)])
    assert [value for value, _ in field.choices] == ["", "long " * 40, "gone"]
    assert field.value == "gone"
    assert field.choices[1][1].endswith("…")
    assert len(field.choices[1][1]) <= 90
