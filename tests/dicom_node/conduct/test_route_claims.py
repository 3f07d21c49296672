"""The reason why no route claims a unit, without patient data."""

from core.policy.routes.condition_parser import parse_condition
from core.settings.routes import Route
from core.states import Priority
from dicom_node.conduct.route_claims import claim_routes


def _reason(when: dict[str, object], **attributes: str) -> str:
    route = Route(name="r", model="m", destinations=("d",), priority=Priority.ROUTINE, when=parse_condition(when))
    return claim_routes([route], attributes).reason


def test_failed_groups_are_listed_with_their_conditions() -> None:
    wanted = {"any": [{"Modality": "XC"}, {"Modality": "DMS"}], "not": {"BodyPartExamined": "HEAD"}, "SeriesDescription": "x"}
    assert _reason(wanted, Modality="CT", BodyPartExamined="HEAD", SeriesDescription="x") == (
        "no route takes it: route 'r': any of: Modality is CT, wanted XC; Modality is CT, wanted DMS; "
        "not: BodyPartExamined is HEAD, wanted HEAD"
    )


def test_patient_values_are_left_out_inside_groups_too() -> None:
    reason = _reason({"not": {"any": [{"PatientID": "SECRET"}, {"Modality": "MR"}]}}, PatientID="SECRET", Modality="CT")
    assert "SECRET" not in reason
    assert "PatientID is not as wanted" in reason


def test_patient_values_of_several_lines_are_left_out() -> None:
    reason = _reason({"PatientComments": {"pattern": "contrast"}}, PatientComments="SECRET\r\nborn 1950, wanted here")
    assert reason == "no route takes it: route 'r': PatientComments is not as wanted"


def test_the_log_has_the_conditions_without_any_value_of_the_header() -> None:
    wanted = {"any": [{"StudyDescription": {"pattern": "lung"}}, {"Modality": "DMS"}], "PatientID": "X1", "body_part": "chest"}
    route = Route(name="r", model="m", destinations=("d",), priority=Priority.ROUTINE, when=parse_condition(wanted))
    header = {"StudyDescription": "Doe, wanted SECRET", "Modality": "CT", "PatientID": "X1", "BodyPartExamined": "KNEE of DOE"}
    assert claim_routes([route], header).conditions == (
        "route 'r': [no]  any of:; [no]  StudyDescription, wanted a match of /lung/; [no]  Modality, wanted DMS; [yes] PatientID; "
        "[no]  body part is not the chest"
    )
