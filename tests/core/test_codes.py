"""Every code that the project writes is published, or private with a definition."""

import pytest
from pydicom.sr._concepts_dict import concepts

from core.concepts import codes, private_codes
from core.records import Code


def meanings(code: Code) -> set[str]:
    found = set()
    for entries in concepts.get(code.scheme, {}).values():
        for value, (meaning, _) in entries.items():
            if value == code.value:
                found.add(meaning)
    return found


@pytest.mark.parametrize(
    "code", [code for code in codes.published_codes() if code not in codes.OUTSIDE_PS3_16], ids=lambda code: code.value
)
def test_published_code_is_in_the_standard_with_that_meaning(code: Code) -> None:
    assert code.meaning in meanings(code)


@pytest.mark.parametrize("code", codes.OUTSIDE_PS3_16, ids=lambda code: code.value)
def test_a_code_outside_ps3_16_names_its_source_and_does_not_collide(code: Code) -> None:
    assert codes.OUTSIDE_PS3_16[code]
    assert code.meaning not in meanings(code)


def test_private_codes_are_well_formed_and_defined() -> None:
    values = [entry.code.value for entry in private_codes.PRIVATE]
    assert len(values) == len(set(values)) >= 10
    for entry in private_codes.PRIVATE:
        assert entry.code.scheme == private_codes.PRIVATE_SCHEME
        assert 0 < len(entry.code.value) <= 16
        assert 0 < len(entry.code.meaning) <= 64
        assert entry.definition.endswith(".")


def test_procedures_are_of_cid_100() -> None:
    for code in (codes.PROCEDURE_CT, codes.PROCEDURE_IMAGING):
        entries = [entry[code.value] for entry in concepts[code.scheme].values() if code.value in entry]
        assert any(100 in cids for _, cids in entries)


def test_units_are_ucum_and_every_class_has_a_code_of_its_own() -> None:
    assert {codes.NO_UNITS.scheme, codes.MILLIMETER.scheme, codes.CUBIC_MILLIMETER.scheme} == {"UCUM"}
    assert len(set(codes.DERMOSCOPY.values())) == 7
    for name in ("akiec", "bkl", "vasc"):
        assert codes.DERMOSCOPY[name].scheme == private_codes.PRIVATE_SCHEME


def test_codes_are_found_by_value_and_scheme() -> None:
    assert codes.find_code("122157", "DCM") == codes.PROBABILITY
    assert codes.find_code("TIER", private_codes.PRIVATE_SCHEME) == private_codes.TIER
    assert codes.find_code("TIER", "DCM") is None
