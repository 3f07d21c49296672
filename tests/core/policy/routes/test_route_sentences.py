"""Conditions of routes as sentences."""

import pytest

from core.policy.routes.condition_parser import parse_condition
from core.policy.routes.route_sentences import condition_in_words
from core.settings.routes import Route


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"Modality": "CT"}, "Modality is CT"),
        ({"BodyPartExamined": ["CHEST", "THORAX", "LUNG"]}, "Body Part Examined is CHEST, THORAX or LUNG"),
        ({"SliceThickness": {"min": 0.5, "max": 5.0}}, "Slice Thickness is at least 0.5 and at most 5"),
        ({"SOPClassUID": "1.2"}, "SOP Class UID is 1.2"),
        ({"SourceAETitle": "CT1"}, "sending AE title is CT1"),
        ({"StudyDescription": {"pattern": "thorax"}}, "Study Description contains a match of /thorax/"),
        ({"Modality": "CT", "any": [{"Rows": 512}, {"Rows": 768}]}, "Modality is CT and (Rows is 512 or Rows is 768)"),
        ({"not": {"Modality": "CT", "Rows": 512}}, "it is not so that (Modality is CT and Rows is 512)"),
        ({"not": {"Modality": "CT"}}, "it is not so that Modality is CT"),
    ],
)
def test_a_condition_reads_as_a_sentence(condition: object, words: str) -> None:
    assert condition_in_words(parse_condition(condition)) == words


def test_a_route_is_one_sentence_or_two() -> None:
    document = {"name": "x", "model": "lung_nodule_ct", "destinations": ["pacs", "ris"], "priority": "urgent", "per_study": "best"}
    route = Route.model_validate(document | {"when": {"Modality": "CT"}})
    assert route.sentence == (
        "If Modality is CT, analyse with lung_nodule_ct as urgent and send the result to pacs and ris. "
        "Of the series of a study only the most suitable is analysed."
    )


def test_a_route_that_compares_says_with_what() -> None:
    document = {"name": "x", "model": "lung_nodule_ct", "destinations": ["pacs"], "priors": {"count": 2}, "when": {"Modality": "CT"}}
    route = Route.model_validate(document)
    assert route.sentence.endswith(
        "send the result to pacs. Compare with up to 2 earlier results of the patient by this model of the same Modality, from studies of "
        "up to 1825 days before."
    )
    assert Route.model_validate(route.model_dump(mode="json")) == route
