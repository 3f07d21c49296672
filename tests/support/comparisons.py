"""Earlier results of `tests.support.analyses`, for tests of the comparison."""

from dataclasses import replace

from core.concepts import codes
from core.policy.priors.choice import PriorRule
from core.policy.priors.comparison import compare_findings
from core.policy.priors.growth import MeasuringError
from core.records import Finding, Measurement, OrganPlace, Prediction, PriorFinding, PriorResult
from core.states import Outcome
from tests.support import analyses
from workers.encode.analysis import Analysis, EarlierResults

ERROR = MeasuringError(small_below_mm=6.0, small=0.33, other=0.17)
RULE = PriorRule(1, 1825, ("Modality", "BodyPartExamined"))
SR = "1.2.840.10008.5.1.4.1.1.88.34"
STORED = (SR, "2.25.81", "2.25.80")
LUNG_MM = (110.0, 180.0, 260.0)


def nodule(number: int, volume_mm3: float, *, height: float = 0.5) -> Finding:
    """Return a finding of `analyses.ct` with a volume, axes and a place in the right lung."""
    sizes = ((codes.LONG_AXIS, 9.0), (codes.SHORT_AXIS, 7.0), (codes.DIAMETER, 8.0))
    measurements = tuple(Measurement(name, value, codes.MILLIMETER) for name, value in sizes)
    volume = Measurement(codes.VOLUME, volume_mm3, codes.CUBIC_MILLIMETER)
    place = OrganPlace((0.5, 0.5, height), LUNG_MM)
    return replace(analyses.nodule(number), diameter_mm=8.0, measurements=(*measurements, volume), place=place)


def earlier_nodule(number: int, volume_mm3: float, *, height: float = 0.5, diameter_mm: float = 7.0) -> PriorFinding:
    """Return a finding of an earlier result at the same place."""
    place = OrganPlace((0.5, 0.5, height), LUNG_MM)
    where = "Upper zone of lung, right"
    return PriorFinding(number, "nodule", "Nodule", diameter_mm, diameter_mm, volume_mm3, where, "Right", place)


def earlier_result(*findings: PriorFinding, digest: str = analyses.CT_MODEL.digest, days: int = 318) -> PriorResult:
    """Return the result of an examination of 2026-01-05, which two destinations have stored."""
    outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
    reports = {"pacs": STORED, "archive": STORED}
    return PriorResult(17, "1.0.0", digest, "2.25.79", "20260105", "0900", days, outcome.value, findings, reports)


def compared(findings: tuple[Finding, ...], *priors: PriorResult, error: MeasuringError | None = ERROR) -> Analysis:
    """Return the analysis of a series whose findings were compared with the first of the earlier results."""
    if priors:
        findings = compare_findings(findings, priors[0], pipeline_digest=analyses.CT_MODEL.digest, error=error)
    outcome = Outcome.FINDINGS if findings else Outcome.NO_FINDING
    analysis = analyses.ct(Prediction(outcome, findings, looked_for=analyses.LOOKED_FOR))
    return replace(analysis, earlier=EarlierResults(RULE, priors, bool(priors)).for_destinations(["pacs"]))


def grown() -> Analysis:
    """Return two nodules, of which one has grown since an earlier examination and the other has no counterpart there."""
    before = earlier_result(earlier_nodule(1, 200.0), earlier_nodule(2, 90.0, height=0.9, diameter_mm=5.5))
    return compared((nodule(0, 512.0), nodule(1, 150.0, height=0.1)), before)


def listed() -> Analysis:
    """Return a nodule of a model that gives no places: the earlier result is listed."""
    analysis = compared((replace(nodule(0, 512.0), place=None),))
    return replace(analysis, earlier=EarlierResults(RULE, (earlier_result(earlier_nodule(1, 200.0)),)).for_destinations(["archive"]))


def nothing_before() -> Analysis:
    """Return an analysis without findings for which no earlier result was found."""
    return compared(())


def grown_with_outlines() -> Analysis:
    """Return the same comparison of nodules that have segments."""
    analysis, other = analyses.masked_ct(), grown()
    pairs = zip(analysis.prediction.findings, other.prediction.findings, strict=True)
    findings = tuple(replace(finding, comparison=said.comparison) for finding, said in pairs)
    return analyses.with_segmentation(replace(analysis, prediction=replace(analysis.prediction, findings=findings), earlier=other.earlier))
