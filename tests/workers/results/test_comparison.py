"""Which results are compared, and what is matched: only findings of models that give their places, with the newest earlier result."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from core.policy.priors.choice import PriorRule
from core.records import Change, Finding, Prediction, PriorResult
from core.states import Outcome, Priority, UnitKind
from db.jobs.job_records import ClaimedJob
from models import registry
from tests.support.analyses import CT_MODEL
from tests.support.comparisons import RULE, earlier_nodule, earlier_result, nodule
from workers.results.comparison import compare_prediction

NODULES, HISTOLOGY = registry.card("lung_nodule_ct"), registry.card("lung_histology_ct")
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def job(*priors: PriorResult, rule: PriorRule | None = RULE) -> ClaimedJob:
    return ClaimedJob(
        1, "k", 1, UnitKind.SERIES, 1, 1, 1, uuid4(), "lung_nodule_ct", CT_MODEL.digest, Priority.ROUTINE, ("pacs",), "1.2", "1.2.1", "",
        (), NOW, NOW, prior_rule=rule, priors=priors,
    )  # fmt: skip


def found(*findings: Finding) -> Prediction:
    return Prediction(Outcome.FINDINGS if findings else Outcome.NO_FINDING, findings)


def test_nodules_are_matched_to_those_of_the_newest_result() -> None:
    newest, older = earlier_result(earlier_nodule(1, 200.0)), replace(earlier_result(earlier_nodule(1, 90.0)), job_id=16, days=700)
    prediction, earlier = compare_prediction(job(newest, older), NODULES, found(nodule(0, 512.0)))
    said = prediction.findings[0].comparison
    assert said is not None
    assert (said.job_id, said.finding, said.change) == (17, 1, Change.LARGER)
    assert earlier is not None
    assert (earlier.priors, earlier.matched, earlier.rule) == ((newest, older), True, RULE)


def test_the_change_of_a_nodule_is_not_judged_where_the_slices_are_not_alike() -> None:
    prior = replace(earlier_result(earlier_nodule(1, 200.0)), slice_thickness_mm=5.0)
    for thickness, change in ((1.0, Change.NOT_JUDGED), (5.0, Change.LARGER)):
        prediction, _ = compare_prediction(replace(job(prior), slice_thickness_mm=thickness), NODULES, found(nodule(0, 512.0)))
        assert prediction.findings[0].comparison is not None
        assert prediction.findings[0].comparison.change is change


def test_without_a_rule_or_an_answer_nothing_is_compared() -> None:
    prior = earlier_result(earlier_nodule(1, 200.0))
    prediction = found(nodule(0, 512.0))
    assert compare_prediction(job(prior, rule=None), NODULES, prediction) == (prediction, None)
    for outcome in (Outcome.NOT_ANALYSED, Outcome.ABSTAINED):
        ended = Prediction(outcome, reason="a test")
        assert compare_prediction(job(prior), NODULES, ended) == (ended, None)


def test_without_an_earlier_result_nothing_is_matched_and_the_report_says_so() -> None:
    prediction, earlier = compare_prediction(job(), NODULES, found(nodule(0, 512.0)))
    assert prediction.findings[0].comparison is None
    assert earlier is not None
    assert (earlier.priors, earlier.matched) == ((), False)


def test_findings_of_a_model_that_gives_no_places_are_listed_only() -> None:
    prior = earlier_result(earlier_nodule(1, 200.0))
    prediction, earlier = compare_prediction(job(prior), HISTOLOGY, found(replace(nodule(0, 512.0), place=None)))
    assert prediction.findings[0].comparison is None
    assert earlier is not None
    assert (earlier.priors, earlier.matched) == ((prior,), False)


def test_a_result_without_findings_names_those_of_before() -> None:
    prior = earlier_result(earlier_nodule(1, 200.0))
    prediction, earlier = compare_prediction(job(prior), NODULES, found())
    assert prediction.findings == ()
    assert earlier is not None
    assert (earlier.priors, earlier.matched) == ((prior,), True)
