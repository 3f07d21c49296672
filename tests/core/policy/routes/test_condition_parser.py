"""Errors of the ``when`` table of a route."""

import json

import pytest

from core.policy.routes.condition_parser import condition_table, parse_condition


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


def test_the_table_of_a_condition_is_read_into_the_same_condition() -> None:
    table = {
        "Modality": "CT",
        "SliceThickness": {"min": 0.5, "max": 5},
        "any": [{"BodyPartExamined": ["CHEST", "THORAX"]}, {"StudyDescription": {"pattern": "lung|ches"}, "SeriesNumber": 3}],
        "all": [{"KVP": {"max": 140}}],
        "body_part": "chest",
        "not": {"ImageType": "LOCALIZER", "not": {"Modality": "MR"}},
    }
    condition = parse_condition(table)
    assert parse_condition(json.loads(json.dumps(condition_table(condition)))) == condition
