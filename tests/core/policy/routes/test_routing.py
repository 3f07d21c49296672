"""Conditions of routes: read from the configuration, evaluated and explained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.routes.condition_parser import parse_condition
from core.policy.routes.routing import Attributes

CHEST = {"Modality": "CT", "BodyPartExamined": ["CHEST", "THORAX"], "SliceThickness": {"max": 5.0}}


def test_a_chest_ct_matches_and_every_condition_is_explained() -> None:
    decision = parse_condition(CHEST).evaluate({"Modality": "CT", "BodyPartExamined": "Chest", "SliceThickness": 3.0})
    assert decision.holds
    assert decision.lines == (
        "[yes] Modality is CT, wanted CT",
        "[yes] BodyPartExamined is Chest, wanted CHEST or THORAX",
        "[yes] SliceThickness is 3, wanted at most 5",
    )


def test_an_absent_body_part_never_matches() -> None:
    decision = parse_condition(CHEST).evaluate({"Modality": "CT", "SliceThickness": 3.0})
    assert not decision.holds
    assert "[no]  BodyPartExamined is absent, wanted CHEST or THORAX" in decision.lines


@pytest.mark.parametrize(
    ("condition", "attributes", "holds"),
    [
        ({"ImageType": "AXIAL"}, {"ImageType": ("ORIGINAL", "PRIMARY", "AXIAL")}, True),
        ({"not": {"ImageType": "LOCALIZER"}}, {"ImageType": ("ORIGINAL", "PRIMARY", "AXIAL")}, True),
        ({"any": [{"Modality": "XC"}, {"Modality": "DMS"}]}, {"Modality": "DMS"}, True),
        ({"all": [{"Modality": "CT"}, {"KVP": {"min": 100, "max": 140}}]}, {"Modality": "CT", "KVP": 120.0}, True),
        ({"all": [{"Modality": "CT"}, {"KVP": {"min": 100, "max": 140}}]}, {"Modality": "CT", "KVP": 80.0}, False),
        ({"SeriesDescription": {"pattern": r"^lung\b"}}, {"SeriesDescription": "LUNG 3.0 B70f"}, True),
        ({"SeriesDescription": {"pattern": r"^lung\b"}}, {"SeriesDescription": "lungs"}, False),
        ({"SliceThickness": {"max": 5}}, {"SliceThickness": "thin"}, False),
        ({"PixelSpacing": {"max": 1}}, {"PixelSpacing": (0.5, 1.5)}, False),
        ({"SeriesNumber": 3}, {"SeriesNumber": 3.0}, True),
        ({"SeriesNumber": "3"}, {"SeriesNumber": 3.0}, True),
        ({"SeriesNumber": ["2", "3"]}, {"SeriesNumber": 1.0}, False),
        ({"SeriesNumber": "three"}, {"SeriesNumber": 3.0}, False),
        ({"SeriesNumber": {"pattern": "^3$"}}, {"SeriesNumber": 3.0}, True),
        ({"SeriesNumber": {"pattern": "^1000003$"}}, {"SeriesNumber": 1000003.0}, True),
        ({"SliceThickness": {"pattern": r"^1\.25$"}}, {"SliceThickness": 1.25}, True),
        ({"SourceAETitle": "PACS"}, {"SourceAETitle": "PACS"}, True),
    ],
)
def test_each_kind_of_condition(condition: dict[str, object], attributes: Attributes, holds: bool) -> None:
    assert parse_condition(condition).evaluate(attributes).holds is holds


values = st.one_of(st.text(max_size=5), st.floats(allow_nan=False), st.lists(st.text(max_size=4), max_size=3).map(tuple))


@given(st.dictionaries(st.sampled_from(["Modality", "SliceThickness", "ImageType"]), values))
def test_not_is_the_opposite_and_evaluation_never_fails(attributes: Attributes) -> None:
    for table in ({"Modality": "CT"}, {"SliceThickness": {"min": 1, "max": 5}}, {"ImageType": {"pattern": "AX"}}):
        plain, negated = parse_condition(table), parse_condition({"not": table})
        assert plain.evaluate(attributes).holds is not negated.evaluate(attributes).holds
