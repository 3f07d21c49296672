"""Which real, public data sets are taken for data of one person, as far as a comparison of results needs it."""

from pathlib import Path

from core.policy.priors.same_patient import IdentityDoubt, Person, doubt_between, doubt_of_id
from imaging.headers.instance_header import read_header


def person(path: Path) -> Person:
    head = read_header(path)
    return Person(head.patient_id, head.issuer_of_patient_id, head.patient_name, head.patient_birth_date, head.patient_sex)


def test_patients_of_three_studies_with_one_patient_id_are_not_compared(data: Path) -> None:
    """Orthanc's test files: HELLO, WORLD and FOO, all with the Patient ID COMMON."""
    first, second, third = (person(data / f"conformance/malformed/PatientIdsCollision/Image{number}.dcm") for number in (1, 2, 3))
    assert {one.patient_id for one in (first, second, third)} == {"COMMON"}
    for one, other in ((first, second), (second, third), (first, third)):
        assert doubt_between(one, other) is IdentityDoubt.NAME
        assert doubt_between(one, other, unique_ids=True) is IdentityDoubt.NAME


def test_a_study_of_a_collection_under_pseudonyms_needs_the_word_of_the_site(data: Path) -> None:
    """TCIA repeats the Patient ID as the name, and leaves out issuer and birth date."""
    patient = person(next((data / "ct/cptac-C3N-00247-lung3.0-B70f").glob("*.dcm")))
    assert patient.name == patient.patient_id == "C3N-00247"
    assert doubt_of_id(patient.patient_id) is None
    assert doubt_between(patient, patient) is IdentityDoubt.NOTHING_ELSE
    assert doubt_between(patient, patient, unique_ids=True) is None
