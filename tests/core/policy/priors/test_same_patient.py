"""Whether two studies with one Patient ID are of one person."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.priors.same_patient import IdentityDoubt, Person, doubt_between, doubt_of_id, left_out_in_words

BARE = Person("4711")
WHOLE = Person("4711", "HOSPITAL", "Müller^Anna Maria", "19600102", "F")


@pytest.mark.parametrize(
    "patient_id",
    ["ANON", "anonymous", "Anonymized", "0", "000000", "9999", "UNKNOWN", "TEST", "Test-Patient", "patient_id", "N/A", "none", "XXX", "---",
     "?", "7", "123", "123456", "0123", " Phantom ", "QA"],
)  # fmt: skip
def test_a_placeholder_is_no_patient_id(patient_id: str) -> None:
    assert doubt_of_id(patient_id) is IdentityDoubt.PLACEHOLDER_ID


@pytest.mark.parametrize("patient_id", ["4711", "P1", "LIDC-IDRI-0001", "SYN-000201", "ANON0001", "12", "1203", "Ångström 7"])
def test_another_patient_id_may_say_who_a_person_is(patient_id: str) -> None:
    assert doubt_of_id(patient_id) is None


@pytest.mark.parametrize("patient_id", ["", "  "])
def test_a_study_may_have_no_patient_id(patient_id: str) -> None:
    assert doubt_of_id(patient_id) is IdentityDoubt.NO_ID


def test_a_patient_id_alone_is_not_enough_unless_the_site_vouches_for_it() -> None:
    assert doubt_between(BARE, BARE) is IdentityDoubt.NOTHING_ELSE
    assert doubt_between(BARE, BARE, unique_ids=True) is None
    assert doubt_between(replace(BARE, sex="F"), replace(BARE, sex="F")) is IdentityDoubt.NOTHING_ELSE, "half of all people have it"


@pytest.mark.parametrize("second", [{"issuer": "HOSPITAL"}, {"birth_date": "19600102"}, {"name": "Müller^Anna"}])
def test_a_second_attribute_that_both_have_is_enough(second: dict[str, str]) -> None:
    assert doubt_between(replace(BARE, **second), replace(BARE, **second)) is None
    assert doubt_between(replace(BARE, **second), BARE) in (IdentityDoubt.NOTHING_ELSE, IdentityDoubt.ONE_ISSUER)


@pytest.mark.parametrize(
    ("other", "doubt"),
    [
        ({"birth_date": "19600103"}, IdentityDoubt.BIRTH_DATE),
        ({"sex": "M"}, IdentityDoubt.SEX),
        ({"name": "Schmidt^Peter"}, IdentityDoubt.NAME),
        ({"issuer": ""}, IdentityDoubt.ONE_ISSUER),
    ],
)
def test_what_contradicts_separates_two_studies_whatever_else_agrees(other: dict[str, str], doubt: IdentityDoubt) -> None:
    assert doubt_between(WHOLE, replace(WHOLE, **other)) is doubt
    assert doubt_between(replace(WHOLE, **other), WHOLE, unique_ids=True) is doubt


@pytest.mark.parametrize(
    "other",
    [
        {"birth_date": ""},
        {"birth_date": "19000101"},
        {"birth_date": "1960"},
        {"sex": ""},
        {"sex": "O"},
        {"name": ""},
        {"name": "ANONYMOUS"},
        {"name": "4711"},
        {"name": "MULLER^ANNA"},
        {"name": "Weber^Anna"},
        {"name": "山田^太郎"},
    ],
)
def test_what_is_missing_a_placeholder_or_written_otherwise_separates_nothing(other: dict[str, str]) -> None:
    """The family name changes with a marriage, and a name in another script cannot be compared."""
    assert doubt_between(WHOLE, replace(WHOLE, **other)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Doe^Jane", "Doe^Peter"),
        ("Doe", "Doe"),
        ("4711", "4711"),
        ("ANON^PATIENT", "ANON^PATIENT"),
        ("Subject 12", "Subject 12"),
        ("Doe^J", "Doe^J"),
        ("Doe^Jane", "山田^太郎"),
    ],
)
def test_a_family_name_a_pseudonym_or_a_placeholder_is_no_second_attribute(one: str, other: str) -> None:
    assert doubt_between(replace(BARE, name=one), replace(BARE, name=other)) is IdentityDoubt.NOTHING_ELSE


@pytest.mark.parametrize(
    ("one", "other"), [("Doe^Jane", "DOE^JANE^ANN"), ("山田^太郎", "Yamada^Tarou=山田^太郎"), ("Müller^Anna", "Muller Anna")]
)
def test_a_full_name_is_one(one: str, other: str) -> None:
    assert doubt_between(replace(BARE, name=one), replace(BARE, name=other)) is None


@pytest.mark.parametrize("date", ["19000101", "99991231", "00010101", "18991231", "unknown"])
def test_a_birth_date_that_stands_for_an_unknown_one_is_no_second_attribute(date: str) -> None:
    assert doubt_between(replace(BARE, birth_date=date), replace(BARE, birth_date=date)) is IdentityDoubt.NOTHING_ELSE


def test_the_reasons_in_words() -> None:
    assert left_out_in_words(()) == ""
    assert left_out_in_words(((IdentityDoubt.PLACEHOLDER_ID, 0),)) == (
        "Earlier results were not looked for: the Patient ID of the study is a placeholder, which several persons may have."
    )
    assert left_out_in_words(((IdentityDoubt.BIRTH_DATE, 1), (IdentityDoubt.NOTHING_ELSE, 2))) == (
        "1 earlier result with the same Patient ID was left out: the birth dates differ. "
        "2 earlier results with the same Patient ID were left out: neither issuer, birth date nor full name shows that it is of the same "
        "person."
    )


PERSONS = st.builds(
    Person,
    st.just("4711"),
    st.sampled_from(["", "HOSPITAL", "OTHER"]),
    st.one_of(st.sampled_from(["", "Doe^Jane", "Doe^Peter", "ANON"]), st.text(max_size=12)),
    st.sampled_from(["", "19600102", "19700102", "19000101"]),
    st.sampled_from(["", "M", "F", "O"]),
)


@given(one=PERSONS, other=PERSONS, unique=st.booleans())
def test_the_order_of_the_studies_does_not_matter_and_a_site_can_only_add_what_does_not_contradict(
    one: Person, other: Person, unique: bool
) -> None:
    doubt = doubt_between(one, other)
    assert doubt_between(other, one) is doubt
    vouched = doubt_between(one, other, unique_ids=True)
    assert vouched is (None if doubt is IdentityDoubt.NOTHING_ELSE else doubt)
    if doubt_between(one, other, unique_ids=unique) is None and not unique:
        assert one.issuer or one.birth_date or one.name
