"""The validator finds one seeded fault for each case, and none in undamaged reports."""

import io
from collections.abc import Callable
from functools import cache

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.records import Code
from tests.support import analyses
from tests.support.analyses import walk
from workers.encode.known_codes import is_known
from workers.encode.sr import document as sr_document
from workers.encode.validate.validator import validate


@cache
def contents() -> dict[str, bytes]:
    """The report of every shape."""
    return {name: sr_document.encode(analysis).content for name, analysis in analyses.shapes().items()}


def damaged(shape: str, damage: Callable[[Dataset], object]) -> tuple[str, ...]:
    document = dcmread(io.BytesIO(contents()[shape]))
    damage(document)
    buffer = io.BytesIO()
    document.save_as(buffer)
    return validate(buffer.getvalue())


def first(document: Dataset, kind: str, name: str = "") -> Dataset:
    return next(
        item for item in walk(document) if item.get("ValueType") == kind and (not name or item.ConceptNameCodeSequence[0].CodeValue == name)
    )


def without(name: str) -> Callable[[Dataset], None]:
    """Remove every content item of that concept."""

    def remove(document: Dataset) -> None:
        for parent in list(walk(document)):
            items = parent.get("ContentSequence")
            if items is not None:
                kept = [item for item in items if item.get("ConceptNameCodeSequence", [{}])[0].get("CodeValue") != name]
                if len(kept) != len(items):
                    parent.ContentSequence = kept

    return remove


def drop_evidence(document: Dataset) -> None:
    series = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    series.ReferencedSOPSequence = [item for item in series.ReferencedSOPSequence if item.ReferencedSOPInstanceUID != "2.25.1003"]


def set_code(name: str, **values: str) -> Callable[[Dataset], None]:
    def change(document: Dataset) -> None:
        for keyword, value in values.items():
            setattr(first(document, "CODE", name).ConceptCodeSequence[0], keyword, value)

    return change


def same_tracking(document: Dataset) -> None:
    references = [item for item in walk(document) if item.get("ValueType") == "UIDREF"]
    uids = [item for item in references if item.ConceptNameCodeSequence[0].CodeValue == "112040"]
    uids[1].UID = uids[0].UID


FAULTS: list[tuple[str, str, Callable[[Dataset], object], str]] = [
    ("reference not in evidence", "ct-findings", drop_evidence, "evidence does not list"),
    ("no evidence", "ct-findings", lambda d: delattr(d, "CurrentRequestedProcedureEvidenceSequence"), "lists no image"),
    ("unknown code", "ct-findings", set_code("121071", CodeValue="0000000"), "is not known"),
    ("wrong meaning", "skin-findings", set_code("121071", CodeMeaning="Nothing to worry about"), "is not known"),
    ("undeclared private code", "ct-findings", set_code("TIER", CodeValue="TIER-GOOD"), "is not known"),
    ("code without scheme", "ct-findings", set_code("121071", CodingSchemeDesignator=""), "lacks a value"),
    ("procedure of no list", "ct-findings", set_code("121058", CodeValue="39607008"), "CID 100"),
    ("missing type 1", "ct-findings", lambda d: delattr(d, "DeviceSerialNumber"), "DeviceSerialNumber (type 1) is missing"),
    ("empty type 1", "ct-findings", lambda d: setattr(d, "ContentDate", ""), "ContentDate (type 1) is empty"),
    ("missing type 2", "ct-findings", lambda d: delattr(d, "AccessionNumber"), "AccessionNumber (type 2) is missing"),
    ("bad UID", "ct-findings", lambda d: setattr(d, "SeriesInstanceUID", "1.02.3"), "SeriesInstanceUID is not a valid UID"),
    ("bad date", "ct-findings", lambda d: setattr(d, "ContentDate", "2026"), "does not fit VR DA"),
    ("too long", "ct-findings", lambda d: setattr(d, "SeriesDescription", "x" * 65), "does not fit VR LO"),
    ("verified", "ct-findings", lambda d: setattr(d, "VerificationFlag", "VERIFIED"), "VerificationFlag is not UNVERIFIED"),
    ("other class in file meta", "ct-findings", lambda d: setattr(d.file_meta, "MediaStorageSOPInstanceUID", "2.25.1"), "differ"),
    ("other template", "ct-findings", lambda d: setattr(d.ContentTemplateSequence[0], "TemplateIdentifier", "2000"), "TID 1500"),
    ("scheme not identified", "ct-findings", lambda d: delattr(d, "CodingSchemeIdentificationSequence"), "is not identified"),
    ("wrong relationship", "ct-findings", lambda d: setattr(first(d, "NUM"), "RelationshipType", "SELECTED FROM"), "is not allowed"),
    ("unheard relationship", "ct-findings", lambda d: setattr(first(d, "NUM"), "RelationshipType", "KNOWS"), "is none of"),
    ("number without value", "ct-findings", lambda d: setattr(first(d, "NUM", "SCORE"), "MeasuredValueSequence", []), "without value"),
    (
        "unit not UCUM",
        "ct-findings",
        lambda d: setattr(
            first(d, "NUM", "SCORE").MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0], "CodingSchemeDesignator", "DCM"
        ),
        "not of UCUM",
    ),
    ("point with two numbers", "ct-findings", lambda d: setattr(first(d, "SCOORD3D"), "GraphicData", [1.0, 2.0]), "do not make a POINT"),
    ("point at infinity", "ct-findings", lambda d: setattr(first(d, "SCOORD3D"), "GraphicData", [1.0, 2.0, float("inf")]), "POINT"),
    (
        "no frame of reference",
        "ct-findings",
        lambda d: delattr(first(d, "SCOORD3D"), "ReferencedFrameOfReferenceUID"),
        "frame of reference",
    ),
    ("region of no image", "ct-findings-2d", lambda d: delattr(first(d, "SCOORD"), "ContentSequence"), "selected from no image"),
    ("empty text", "ct-no-finding", lambda d: setattr(first(d, "TEXT", "LOOKED-FOR"), "TextValue", " "), "text without text"),
    ("no observer", "ct-findings", without("121012"), "device observer UID is missing"),
    ("no groups", "ct-findings", without("125007"), "no measurement group"),
    ("no tracking", "ct-findings", without("112040"), "no tracking unique identifier"),
    ("same tracking", "ct-findings", same_tracking, "same tracking UID"),
    ("no digest", "ct-findings", without("111002"), "no pipeline digest"),
    ("no tier", "ct-findings", without("TIER"), "no confidence tier"),
    ("no caveat", "ct-findings", without("NOT-FOR"), "what it is not for is missing"),
    ("nothing looked for", "ct-no-finding", without("LOOKED-FOR"), "neither what was looked for"),
    ("no reason", "skin-abstained", without("REASON"), "neither what was looked for"),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("shape", "damage", "expected"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_seeded_fault_is_found(shape: str, damage: Callable[[Dataset], object], expected: str) -> None:
    found = damaged(shape, damage)
    assert any(expected in problem for problem in found), found


def test_undamaged_reports_have_no_problem() -> None:
    assert all(damaged(shape, lambda _: None) == () for shape in contents())


@pytest.mark.parametrize("make", [lambda _: b"", lambda _: b"no DICOM at all", lambda report: report[:200], lambda report: report[:-700]])
def test_arbitrary_bytes_are_a_problem_and_raise_nothing(make: Callable[[bytes], bytes]) -> None:
    assert validate(make(contents()["ct-findings"]))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_problems_hold_no_patient_values() -> None:
    found = damaged("ct-findings", lambda d: [without("121012")(d), setattr(d, "SeriesDescription", "Müller" * 30), drop_evidence(d)])
    assert found
    assert not any("Müller" in problem or "P-77" in problem or "2.25." in problem for problem in found)


def test_known_codes() -> None:
    assert is_known(Code("en-US", "RFC5646", "English (United States)"))
    assert not is_known(Code("25045-6", "SCT", "CT unspecified body region"))
