"""Errors of the ``when`` table of a route."""

import pytest

from core.policy.condition_parser import parse_condition


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "would take everything"),
        ({"Modalty": "CT"}, "'Modalty' is not a DICOM keyword"),
        ({"Modality": {}}, "takes { min"),
        ({"Modality": []}, "takes a text"),
        ({"Modality": True}, "takes a text"),
        ({"SliceThickness": {"max": "5"}}, "takes { min"),
        ({"SliceThickness": {"below": 5}}, "takes { min"),
        ({"Modality": {"pattern": "("}}, "no regular expression"),
        ({"any": {}}, "takes a list"),
        ({"not": []}, "a condition is a table"),
    ],
)
def test_a_wrong_condition_is_an_error_with_the_reason(table: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace("{", r"\{")):
        parse_condition(table)
