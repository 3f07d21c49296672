"""Columns of figures: the same number of decimals in each float, as far as no float gets more digits than can be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.columns import is_figure, show_column, show_value


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0.5, 0.0303, 1.0], ["0.5000", "0.0303", "1.0000"]),
        ([4.0, 6.4, 4.75], ["4.00", "6.40", "4.75"]),
        ([975, 0.5, 0.25], ["975", "0.50", "0.25"]),
        ([-2.8669, 0.6], ["-2.867", "0.600"]),
        ([65.5, 0.0872], ["65.5", "0.0872"]),
        ([1e-05, 0.5], ["1e-05", "0.5"]),
        ([[0.7404, 0.854], [0.3, 1.0]], ["0.7404, 0.8540", "0.3000, 1.0000"]),
        ([None, True, False, "text", 0.5], ["", "yes", "no", "text", "0.5"]),
        ([], []),
    ],
)
def test_the_floats_of_a_column_have_the_same_number_of_decimals(values: list[object], shown: list[str]) -> None:
    assert show_column(values) == shown


@given(st.lists(st.floats(0, 1).map(lambda value: round(value, 4)), min_size=1))
def test_shares_of_four_decimals_are_shown_as_they_are(values: list[float]) -> None:
    shown = show_column(values)
    assert [float(text) for text in shown] == values
    if not any("e" in text for text in shown):
        assert len({len(text.partition(".")[2]) for text in shown}) == 1


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True)))
def test_every_float_is_shown(values: list[float]) -> None:
    assert len(show_column(values)) == len(values)


def test_figures_are_numbers_and_short_lists_of_them() -> None:
    assert all(map(is_figure, (0, 0.5, [0.1, 0.2], (1, 2, 3))))
    assert not any(map(is_figure, (True, "1", None, [], [1, 2, 3, 4], ["a"], {})))


def test_a_single_float_has_four_significant_digits() -> None:
    assert [show_value(value) for value in (0.123456, 20.162, 1234567.0)] == ["0.1235", "20.16", "1.235e+06"]
