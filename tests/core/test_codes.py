"""Every code that we write is a published one, or declared with its definition."""

import pytest
from pydicom.sr._concepts_dict import concepts

from core import codes
from core.records import Code


def meanings(code: Code) -> set[str]:
    found = set()
    for entries in concepts.get(code.scheme, {}).values():
        for value, (meaning, _) in entries.items():
            if value == code.value:
                found.add(meaning)
    return found


@pytest.mark.parametrize("code", [code for code in codes.published() if code not in codes.OUTSIDE_PS3_16], ids=lambda code: code.value)
def test_published_code_is_in_the_standard_with_that_meaning(code: Code) -> None:
    assert code.meaning in meanings(code)


@pytest.mark.parametrize("code", codes.OUTSIDE_PS3_16, ids=lambda code: code.value)
def test_code_from_elsewhere_names_its_source_and_does_not_collide(code: Code) -> None:
    assert codes.OUTSIDE_PS3_16[code]
    assert code.meaning not in meanings(code)


def test_private_codes_are_well_formed_and_defined() -> None:
    values = [entry.code.value for entry in codes.PRIVATE]
    assert len(values) == len(set(values)) >= 10
    for entry in codes.PRIVATE:
        assert entry.code.scheme == codes.PRIVATE_SCHEME
        assert 0 < len(entry.code.value) <= 16
        assert 0 < len(entry.code.meaning) <= 64
        assert entry.definition.endswith(".")


def test_procedures_are_of_cid_100() -> None:
    for code in (codes.PROCEDURE_CT, codes.PROCEDURE_IMAGING):
        entries = [entry[code.value] for entry in concepts[code.scheme].values() if code.value in entry]
        assert any(100 in cids for _, cids in entries)


def test_units_are_ucum_and_every_bucket_has_a_code_of_its_own() -> None:
    assert {codes.NO_UNITS.scheme, codes.MILLIMETER.scheme, codes.CUBIC_MILLIMETER.scheme} == {"UCUM"}
    assert len(set(codes.DERMOSCOPY.values())) == 7
    for bucket in ("akiec", "bkl", "vasc"):
        assert codes.DERMOSCOPY[bucket].scheme == codes.PRIVATE_SCHEME


def test_declared_finds_what_is_there_only() -> None:
    assert codes.declared("122157", "DCM") == codes.PROBABILITY
    assert codes.declared("TIER", codes.PRIVATE_SCHEME) == codes.TIER
    assert codes.declared("TIER", "DCM") is None
