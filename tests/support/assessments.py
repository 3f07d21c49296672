"""Assessments of every kind, for tests that encode or validate them."""

import io
from dataclasses import replace
from datetime import UTC, datetime

from pydicom import dcmread
from pydicom.dataset import Dataset

from core.concepts import codes
from core.policy.verdicts import RejectionReason, VerdictKind
from core.records import Finding, Prediction, ResultObject
from core.states import Outcome
from db.verdicts.assessment_records import AssessedReport, JudgedFinding
from tests.support import analyses
from workers.encode.analysis import Analysis
from workers.encode.sr.assessment import encode_assessment
from workers.encode.sr.document import encode
from workers.encode.sr.stored_identifiers import read_tracking

AT = datetime(2026, 11, 21, 8, 15, 30, tzinfo=UTC)
AS_FOUND = Finding("nodule", codes.NODULE)
CORRECTED = replace(analyses.nodule(3), score=None, site=None, measurements=(), diameter_mm=9.5)
MISSED = replace(CORRECTED, diameter_mm=None, position_mm=None)


def judged() -> tuple[JudgedFinding, ...]:
    """Return one verdict of each kind on a CT series, and one on the result as a whole."""
    return (
        JudgedFinding(VerdictKind.ACCEPTED, 1, "green", AT, 1, AS_FOUND),
        JudgedFinding(VerdictKind.REJECTED, 2, "green", AT, 2, AS_FOUND, RejectionReason.ARTIFACT),
        JudgedFinding(VerdictKind.CORRECTED, 3, "brown", AT, 3, CORRECTED),
        JudgedFinding(VerdictKind.MISSED, 4, "green", AT, None, MISSED),
    )


def assess(
    analysis: Analysis, verdicts: tuple[JudgedFinding, ...], *, profile: str = "assessment.1"
) -> tuple[ResultObject, AssessedReport]:
    """Return the assessment of the report on ``analysis``, and that report."""
    report = encode(analysis)
    assessed = AssessedReport("sr", (report.sop_class_uid, report.sop_instance_uid, report.series_instance_uid), "0" * 64, ("pacs",))
    return encode_assessment(replace(analysis, started_at=AT), verdicts, assessed, tracking_of(report), profile=profile), assessed


def tracking_of(report: ResultObject) -> dict[int, tuple[str, str]]:
    """Return Tracking Identifier and UID by the number of the finding."""
    return read_tracking(report.content)


def on_ct() -> ResultObject:
    """Return an assessment with one verdict of each kind."""
    findings = tuple(analyses.nodule(number) for number in range(3))
    return assess(analyses.ct(Prediction(Outcome.FINDINGS, findings)), judged())[0]


def on_a_photograph() -> ResultObject:
    """Return an assessment that gives a photograph another class, at a place in pixels."""
    other = Finding("nv", codes.MELANOCYTIC_NEVUS, sop_instance_uid="2.25.2000", image_point=(300.5, 220.5))
    verdict = JudgedFinding(VerdictKind.CORRECTED, 7, "green", AT, 1, other)
    return assess(analyses.skin(Prediction(Outcome.FINDINGS, (analyses.melanoma(),))), (verdict,))[0]


def without_findings() -> ResultObject:
    """Return an assessment that accepts a result without findings."""
    verdict = JudgedFinding(VerdictKind.ACCEPTED, 8, "green", AT, 0, None)
    return assess(analyses.ct(Prediction(Outcome.NO_FINDING, looked_for="nodules")), (verdict,))[0]


def parse(made: ResultObject) -> Dataset:
    """Return the document."""
    return dcmread(io.BytesIO(made.content))


def encoded(document: Dataset) -> bytes:
    """Return a document as a Part 10 file."""
    buffer = io.BytesIO()
    document.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
