"""Compares the findings of a result with an earlier result of the same model."""

from collections.abc import Sequence
from dataclasses import replace

from core.concepts import codes
from core.concepts.measured_values import round_measured
from core.policy.priors import growth
from core.policy.priors.finding_matches import Match, PlacedFinding, match_findings
from core.policy.priors.growth import MeasuringError
from core.records import Change, Finding, FindingComparison, PriorFinding, PriorResult

OTHER_PIPELINE = "it was measured by another version of the model, so that the difference may come from the version"
NO_ERROR_KNOWN = "the measuring error of this model is not known"
NO_VOLUME = "no volume was measured"
MOST_THICKNESS_RATIO = 1.5  # of the slices of both series: beyond it the same nodule has another volume in each


def compare_findings(
    findings: Sequence[Finding],
    prior: PriorResult,
    *,
    pipeline_digest: str,
    error: MeasuringError | None,
    slice_thickness_mm: float | None = None,
) -> tuple[Finding, ...]:
    """Return the findings, each with what the comparison with ``prior`` says of it.

    ``error``: of the volumes that the model measures; None: changes are given and not judged. ``slice_thickness_mm``: of this series.
    """
    now = [_placed(number, finding) for number, finding in enumerate(findings, 1)]
    before = [PlacedFinding(one.number, one.side, one.place, one.diameter_mm, one.rejected) for one in prior.findings]
    matches = match_findings(now, before)
    earlier = {one.number: one for one in prior.findings}
    unlike = OTHER_PIPELINE if prior.pipeline_digest != pipeline_digest else other_slices(prior.slice_thickness_mm, slice_thickness_mm)
    compared = []
    for number, finding in enumerate(findings, 1):
        said = _said(prior, matches[number])
        if said.finding is not None:
            said = _measured(said, finding, earlier[said.finding], unlike, error)
        compared.append(replace(finding, comparison=said))
    return tuple(compared)


def other_slices(then_mm: float | None, now_mm: float | None) -> str:
    """Return why volumes measured on slices of these thicknesses are not compared; "" where they are, or one is not known."""
    if not then_mm or not now_mm or max(then_mm, now_mm) <= MOST_THICKNESS_RATIO * min(then_mm, now_mm):
        return ""
    return f"the slices were {then_mm:g} mm thick then and are {now_mm:g} mm thick now, which changes the measured volume"


def has_places(findings: Sequence[Finding]) -> bool:
    """Whether a model gives places by which findings can be matched; else earlier results are only listed."""
    return any(finding.place is not None for finding in findings)


def mean_axis_mm(long_axis_mm: float | None, short_axis_mm: float | None) -> float | None:
    """Return the mean of long and short axis."""
    return None if long_axis_mm is None or short_axis_mm is None else (long_axis_mm + short_axis_mm) / 2


def measured(finding: Finding, name: object) -> float | None:
    """Return the measurement of a finding with this coded name."""
    return next((each.value for each in finding.measurements if each.name == name), None)


def _placed(number: int, finding: Finding) -> PlacedFinding:
    return PlacedFinding(number, "" if finding.side is None else finding.side.meaning, finding.place, finding.diameter_mm)


def _said(prior: PriorResult, match: Match) -> FindingComparison:
    change = Change.NOT_MATCHED if match.number is None else Change.NOT_JUDGED
    return FindingComparison(
        prior.job_id, prior.model_version, prior.study_date, prior.days, change, match.number, match.distance_mm, reason=match.reason
    )


def _measured(
    said: FindingComparison, finding: Finding, before: PriorFinding, unlike: str, error: MeasuringError | None
) -> FindingComparison:
    """Return the comparison with the differences of a matched finding, and what they mean; ``unlike``: why they mean nothing."""
    axes = measured(finding, codes.LONG_AXIS), measured(finding, codes.SHORT_AXIS)
    volume, volume_before = measured(finding, codes.VOLUME), before.volume_mm3
    said = replace(
        said,
        diameter_mm_before=before.diameter_mm,
        volume_mm3_before=volume_before,
        diameter_difference_mm=_difference(finding.diameter_mm, before.diameter_mm, "mm"),
        mean_axis_difference_mm=_difference(mean_axis_mm(*axes), before.mean_axis_mm, "mm"),
        volume_difference_mm3=_difference(volume, volume_before, "mm3"),
    )
    if not volume or not volume_before:
        return replace(said, reason=NO_VOLUME)
    said = replace(said, volume_percent=round(100 * (volume - volume_before) / volume_before))
    if unlike or error is None:
        return replace(said, reason=unlike or NO_ERROR_KNOWN)
    smaller = min((size for size in (finding.diameter_mm, before.diameter_mm) if size is not None), default=None)
    change = growth.judge_volumes(volume_before, volume, error.ratio_95(smaller))
    days = growth.doubling_days(volume_before, volume, said.days) if change is Change.LARGER else None
    return replace(said, change=change, doubling_days=days)


def _difference(now: float | None, then: float | None, unit: str) -> float | None:
    return None if now is None or then is None else round_measured(now - then, unit)
