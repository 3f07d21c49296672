"""What a verdict must have, when a result is judged, where an image point lies, and to whom a judged result is released."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.policy.verdicts import (
    MarkedPlace,
    RejectionReason,
    VerdictDraft,
    VerdictKind,
    VerdictRefused,
    destinations_to_release,
    is_judged,
    position_on_slice,
)
from core.records import Code

NODULE = Code("27925004", "SCT", "Nodule")
PLACE = MarkedPlace("1.2.3", (10.5, 20.5))
VALID = [
    VerdictDraft(VerdictKind.ACCEPTED, 1),
    VerdictDraft(VerdictKind.ACCEPTED),
    VerdictDraft(VerdictKind.REJECTED, 1, RejectionReason.ARTIFACT),
    VerdictDraft(VerdictKind.CORRECTED, 1, diameter_mm=7.5),
    VerdictDraft(VerdictKind.CORRECTED, 1, label="nodule", code=NODULE, place=PLACE),
    VerdictDraft(VerdictKind.MISSED, label="nodule", code=NODULE, place=PLACE),
    VerdictDraft(VerdictKind.RETRACTED, retracts=4),
]


def test_drafts_are_valid_once_built() -> None:
    assert {draft.kind for draft in VALID} == set(VerdictKind)


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        (VerdictKind.REJECTED, {"finding_id": 1}, "has a reason"),
        (VerdictKind.ACCEPTED, {"finding_id": 1, "reason": RejectionReason.OTHER}, "has a reason"),
        (VerdictKind.REJECTED, {"reason": RejectionReason.OTHER}, "needs a finding"),
        (VerdictKind.MISSED, {"finding_id": 1, "label": "nodule", "code": NODULE, "place": PLACE}, "not about a finding"),
        (VerdictKind.CORRECTED, {"finding_id": 1}, "changes nothing"),
        (VerdictKind.MISSED, {"label": "nodule", "code": NODULE}, "its class and its place"),
        (VerdictKind.MISSED, {"place": PLACE}, "its class and its place"),
        (VerdictKind.ACCEPTED, {"finding_id": 1, "diameter_mm": 5.0}, "changes no class"),
        (VerdictKind.RETRACTED, {}, "names a verdict"),
        (VerdictKind.CORRECTED, {"finding_id": 1, "label": "nodule"}, "a label and a code"),
        (VerdictKind.CORRECTED, {"finding_id": 1, "diameter_mm": 0.0}, "above 0"),
        (VerdictKind.CORRECTED, {"finding_id": 1, "diameter_mm": math.nan}, "above 0"),
    ],
)
def test_an_incomplete_or_contradictory_verdict_is_refused_with_what_to_do(
    kind: VerdictKind, parts: dict[str, object], expected: str
) -> None:
    with pytest.raises(VerdictRefused, match=expected) as refused:
        VerdictDraft(kind, **parts)  # type: ignore[arg-type]
    assert refused.value.hint


ANGLE = st.floats(-math.pi, math.pi)
SPACING = st.floats(0.2, 3.0)


@given(angle=ANGLE, column=st.floats(0, 512), row=st.floats(0, 512), rows_mm=SPACING, columns_mm=SPACING)
def test_the_position_of_a_point_is_that_of_its_pixel(angle: float, column: float, row: float, rows_mm: float, columns_mm: float) -> None:
    along_row = (math.cos(angle), math.sin(angle), 0.0)
    along_column = (-math.sin(angle), math.cos(angle), 0.0)
    found = position_on_slice((column, row), (*along_row, *along_column), (-100.0, 50.0, 7.0), (rows_mm, columns_mm))
    assert found is not None
    right, down = (column - 0.5) * columns_mm, (row - 0.5) * rows_mm
    expected = [at + right * x + down * y for at, x, y in zip((-100.0, 50.0, 7.0), along_row, along_column, strict=True)]
    assert found == pytest.approx(expected)


def test_a_point_on_an_image_without_geometry_has_no_position() -> None:
    assert position_on_slice((1.0, 1.0), None, None, None) is None


IDS = st.frozensets(st.integers(1, 5))


@given(findings=IDS, judged=IDS, whole=st.booleans(), missed=st.integers(0, 2))
def test_a_result_is_judged_when_nothing_that_it_states_is_open(
    findings: frozenset[int], judged: frozenset[int], whole: bool, missed: int
) -> None:
    expected = not (findings - judged) if findings else whole or bool(missed)
    assert is_judged(findings, judged, whole=whole, missed=missed) == expected


def test_an_amended_result_is_released_only_where_the_assessment_goes_too() -> None:
    assert destinations_to_release(["pacs", "ris"], amended=False, takes_assessment={"pacs"}) == ["pacs", "ris"]
    assert destinations_to_release(["pacs", "ris"], amended=True, takes_assessment={"pacs"}) == ["pacs"]
