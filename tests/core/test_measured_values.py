"""One precision for each measured value, wherever it is written."""

import pytest

from core.concepts.measured_values import format_measured, round_measured, with_rounded_values
from tests.support import analyses
from tests.support.records import prediction


@pytest.mark.parametrize(
    ("value", "unit", "rounded", "text"),
    [
        (18473.4, "mm3", 18473.0, "18473 mm³"),
        (18473, "{pixels}", 18473.0, "18473 pixels"),
        (87.0, "{pixels}", 87.0, "87 pixels"),
        (7.26, "mm", 7.3, "7.3 mm"),
        (99.97, "mm2", 100.0, "100.0 mm²"),
        (0.8734, "1", 0.87, "0.87"),
    ],
)
def test_a_value_is_rounded_and_written_alike(value: float, unit: str, rounded: float, text: str) -> None:
    assert round_measured(value, unit) == rounded
    assert format_measured(value, unit) == text


def test_rounding_twice_changes_nothing() -> None:
    found = with_rounded_values(analyses.shapes()["ct-findings"].prediction)
    assert found.findings[0].diameter_mm == 7.3
    assert [each.value for each in found.findings[0].measurements] == [200.0]
    assert with_rounded_values(found) == found
    assert with_rounded_values(prediction(0)) == prediction(0)
