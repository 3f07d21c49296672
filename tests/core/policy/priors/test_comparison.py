"""What is said of a finding after the comparison with an earlier result, in values and in words."""

import json
from dataclasses import asdict, replace

import pytest

from core.policy.priors.choice import PriorRule
from core.policy.priors.comparison import NO_ERROR_KNOWN, OTHER_PIPELINE, compare_findings, has_places
from core.policy.priors.growth import MeasuringError
from core.policy.priors.same_patient import IdentityDoubt
from core.policy.priors.sentences import (
    REPLACED_SOON,
    compared_in_short,
    comparison_in_words,
    nothing_earlier,
    prior_in_words,
    rule_in_words,
    without_counterpart,
)
from core.records import Change, FindingComparison, PriorResult
from tests.support.analyses import CT_MODEL
from tests.support.comparisons import ERROR, RULE, earlier_nodule, earlier_result, nodule


def said_of(volume_mm3: float, prior: PriorResult, error: MeasuringError | None = ERROR) -> FindingComparison:
    (finding,) = compare_findings((nodule(0, volume_mm3),), prior, pipeline_digest=CT_MODEL.digest, error=error)
    assert finding.comparison is not None
    return finding.comparison


def test_a_matched_finding_has_its_sizes_of_then_and_the_differences() -> None:
    said = said_of(512.0, earlier_result(earlier_nodule(4, 200.0)))
    assert (said.job_id, said.model_version, said.study_date, said.days) == (17, "1.0.0", "20260105", 318)
    assert (said.finding, said.distance_mm) == (4, 0.0)
    assert (said.volume_mm3_before, said.volume_difference_mm3, said.volume_percent) == (200.0, 312.0, 156)
    assert (said.diameter_mm_before, said.diameter_difference_mm, said.mean_axis_difference_mm) == (7.0, 1.0, 1.0)
    assert (said.change, said.doubling_days, said.reason) == (Change.LARGER, 234, "")
    assert comparison_in_words(said) == (
        "Probably finding 4 of 2026-01-05 (318 days before, version 1.0.0, job 17), matched automatically and to be checked by the reader; "
        "volume then 200 mm³, difference +312 mm³ (+156 %); diameter then 7.0 mm, difference +1.0 mm; "
        "larger, beyond the measuring error; volume doubling time 234 days."
    )


def test_within_the_measuring_error_there_is_no_doubling_time() -> None:
    said = said_of(300.0, earlier_result(earlier_nodule(1, 200.0)))
    assert (said.change, said.volume_percent, said.doubling_days) == (Change.WITHIN_ERROR, 50, None)
    assert "within the measuring error, so that growth is not excluded" in comparison_in_words(said)
    assert "doubling" not in comparison_in_words(said)


def test_a_smaller_nodule_says_so() -> None:
    said = said_of(80.0, earlier_result(earlier_nodule(1, 200.0)))
    assert (said.change, said.volume_percent, said.doubling_days) == (Change.SMALLER, -60, None)
    assert "difference -120 mm³ (-60 %)" in comparison_in_words(said)


def test_the_error_of_small_nodules_counts_where_one_of_both_is_small() -> None:
    """An increase of 150 % is beyond the error of larger nodules, and within that of nodules below 6 mm."""
    assert said_of(500.0, earlier_result(earlier_nodule(1, 200.0, diameter_mm=5.9))).change is Change.WITHIN_ERROR
    assert said_of(500.0, earlier_result(earlier_nodule(1, 200.0, diameter_mm=6.1))).change is Change.LARGER


@pytest.mark.parametrize(
    ("digest", "error", "reason"), [("e" * 64, ERROR, OTHER_PIPELINE), (CT_MODEL.digest, None, NO_ERROR_KNOWN)], ids=["version", "error"]
)
def test_a_change_is_not_judged_without_the_same_version_and_a_known_error(digest: str, error: MeasuringError | None, reason: str) -> None:
    said = said_of(512.0, earlier_result(earlier_nodule(1, 200.0), digest=digest), error)
    assert (said.finding, said.volume_percent, said.change, said.doubling_days) == (1, 156, Change.NOT_JUDGED, None)
    assert f"not judged: {reason}" in comparison_in_words(said)


@pytest.mark.parametrize(
    ("then", "now", "judged"),
    [(1.0, 5.0, False), (3.0, 1.0, False), (2.0, 3.0, True), (1.0, 1.25, True), (None, 5.0, True), (5.0, None, True)],
)
def test_a_change_between_slices_of_unlike_thickness_is_not_judged(then: float | None, now: float | None, judged: bool) -> None:
    """The same nodule has another volume on thick slices: it would be called larger, with a doubling time."""
    prior = replace(earlier_result(earlier_nodule(1, 200.0)), slice_thickness_mm=then)
    (finding,) = compare_findings((nodule(0, 512.0),), prior, pipeline_digest=CT_MODEL.digest, error=ERROR, slice_thickness_mm=now)
    assert finding.comparison is not None
    assert (finding.comparison.change is Change.LARGER, finding.comparison.doubling_days is not None) == (judged, judged)
    assert finding.comparison.volume_percent == 156, "the reader sees the values"
    said = f"not judged: the slices were {then:g} mm thick then and are {now:g} mm thick now" if not judged else "larger, beyond"
    assert said in comparison_in_words(finding.comparison)


def test_growth_by_lung_rads_is_named() -> None:
    prior = earlier_result(replace(earlier_nodule(1, 200.0), mean_axis_mm=6.0))
    assert "grown by more than 1.5 mm within 12 months" in comparison_in_words(said_of(512.0, prior))
    assert "Lung-RADS" not in comparison_in_words(said_of(512.0, replace(prior, days=400)))
    other_version = said_of(512.0, replace(prior, pipeline_digest="e" * 64))
    stored = FindingComparison(**json.loads(json.dumps(asdict(other_version))))  # its change is text, as the console reads it
    assert comparison_in_words(stored) == comparison_in_words(other_version)
    assert "Lung-RADS" not in comparison_in_words(stored)


def test_without_a_match_nothing_is_called_new() -> None:
    said = said_of(512.0, earlier_result(earlier_nodule(1, 200.0, height=0.9)))
    assert (said.change, said.finding, said.volume_mm3_before) == (Change.NOT_MATCHED, None, None)
    assert comparison_in_words(said) == (
        "No comparable finding was found in the result of 2026-01-05 (318 days before, version 1.0.0, job 17): no earlier finding lies "
        "within 15 mm of its place in the same lung. This does not say that it is new."
    )


def test_earlier_findings_without_a_counterpart_are_named() -> None:
    prior = earlier_result(earlier_nodule(1, 200.0), earlier_nodule(2, 90.0, height=0.9))
    findings = compare_findings((nodule(0, 210.0),), prior, pipeline_digest=CT_MODEL.digest, error=ERROR)
    assert without_counterpart(findings, prior) == (
        "To finding 2 of the result of 2026-01-05 (job 17) none of this one was matched: this does not say that it has gone."
    )
    rejected = replace(prior, findings=(prior.findings[0], replace(prior.findings[1], rejected=True)))
    assert without_counterpart(findings, rejected) == ""
    assert compared_in_short(findings, (prior,), RULE) == (
        "1 of 1 findings matched automatically to the result of 2026-01-05: the reader has to check this."
    )


def test_earlier_results_in_words() -> None:
    prior = earlier_result(earlier_nodule(1, 200.0), replace(earlier_nodule(2, 90.0), rejected=True, where=""))
    assert prior_in_words(prior) == (
        "Earlier result of 2026-01-05 (318 days before, version 1.0.0, job 17): 2 findings: 1 Nodule 7.0 mm, Upper zone of lung, right; "
        "2 Nodule 7.0 mm, rejected by a clinician."
    )
    many = earlier_result(*(earlier_nodule(number, 90.0) for number in range(1, 9)))
    assert prior_in_words(many).endswith("; 3 more.")
    assert prior_in_words(earlier_result()).endswith(", job 17): no finding.")
    assert compared_in_short((), (), RULE) == nothing_earlier(RULE)
    assert compared_in_short((nodule(0, 1.0),), (prior,), RULE) == "Earlier results of 2026-01-05 are listed, without a match of findings."


def test_what_is_left_out_is_said_with_the_reason() -> None:
    left_out = ((IdentityDoubt.SEX, 2),)
    assert nothing_earlier(RULE, left_out) == (
        "No earlier result of this model within 1825 days was found for the patient: nothing was compared. "
        "2 earlier results with the same Patient ID were left out: the sexes differ."
    )
    assert compared_in_short((), (), RULE, left_out) == nothing_earlier(RULE, left_out)


def test_a_superseded_result_is_named_as_one() -> None:
    for findings in ((), (earlier_nodule(1, 90.0),)):
        prior = earlier_result(*findings)
        assert prior_in_words(replace(prior, superseded=True)) == f"{prior_in_words(prior)} {REPLACED_SOON}"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            RULE,
            "Compare with the last earlier result of the patient by this model of the same Modality and Body Part Examined, from studies "
            "of up to 1825 days before.",
        ),
        (PriorRule(3, 30, ()), "Compare with up to 3 earlier results of the patient by this model, from studies of up to 30 days before."),
        (
            PriorRule(1, 30, (), unique_ids=True),
            "Compare with the last earlier result of the patient by this model, from studies of up to 30 days before. An equal Patient ID "
            "is enough to be the same patient.",
        ),
    ],
)
def test_a_rule_in_words(rule: PriorRule, words: str) -> None:
    assert rule_in_words(rule) == words


def test_a_model_without_places_is_known_by_its_findings() -> None:
    assert has_places((nodule(0, 1.0),))
    assert not has_places((replace(nodule(0, 1.0), place=None),))


@pytest.mark.parametrize(("days", "words"), [(0, "(the same day, "), (1, "(1 day before, "), (2, "(2 days before, ")])
def test_the_days_between_the_examinations(days: int, words: str) -> None:
    assert words in prior_in_words(earlier_result(days=days))


def test_two_earlier_results_of_one_day_are_told_apart() -> None:
    """In each sentence on findings, and where the older one was listed last."""
    of_noon = earlier_result(earlier_nodule(1, 200.0), earlier_nodule(2, 90.0, height=0.9), earlier_nodule(3, 90.0, height=0.1))
    of_morning = replace(of_noon, job_id=16, study_time="0800")
    (finding,) = findings = compare_findings((nodule(0, 210.0),), of_noon, pipeline_digest=CT_MODEL.digest, error=ERROR)
    assert finding.comparison is not None
    assert "finding 1 of 2026-01-05 (318 days before, version 1.0.0, job 17)" in comparison_in_words(finding.comparison)
    assert prior_in_words(of_noon) != prior_in_words(of_morning)
    assert without_counterpart(findings, of_noon) == (
        "To findings 2 and 3 of the result of 2026-01-05 (job 17) none of this one was matched: this does not say that they have gone."
    )
