"""The earlier results that a job is compared with: of the same patient and model, chosen once, the same for every attempt."""

import json
from dataclasses import replace
from typing import Any

import pytest

from core.policy.priors.choice import PriorRule
from core.policy.verdicts import RejectionReason, VerdictDraft, VerdictKind
from core.records import Change, FindingComparison, OrganPlace, Prediction
from core.states import UnitKind
from core.uids import job_key
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.jobs.job_leases import fail_job, reap_jobs
from db.jobs.job_records import ClaimedJob
from db.jobs.rerun import RerunTarget
from db.jobs.rerun_plan import RerunSelection, rerun
from db.operations.results_export import export_findings
from db.verdicts.result_state import SeenResult
from db.verdicts.verdicts import give_verdict
from tests.support.records import (
    DIGEST,
    Sender,
    claim,
    complete,
    deliver_all,
    finish,
    identity,
    plan,
    prediction,
    report,
    rows,
    run,
    scalar,
    timings,
    unit_of,
)

RULE = PriorRule(2, 1825, ("Modality", "BodyPartExamined"))
COMPARING = replace(plan(), prior_rule=RULE)
NOW = {"study_date": "20260102", "study_time": "101500"}


def receive(database: Database, number: int, **given: Any) -> str:
    """Receive and complete a series of a study of its own, with a job; return the UID of the study."""
    study = f"1.2.3.{number}"
    values: dict[str, Any] = {"body_part_examined": "CHEST", "study": study, "series": f"{study}.1", **NOW, **given}
    Sender(database).send(1, **values)
    return study


def report_earlier(database: Database, number: int, date: str, **given: Any) -> int:
    """Report a study of the patient; return the id of its job."""
    study = receive(database, number, **{"study_date": date, **given})
    (job_id,) = complete(database, plan(), study=study) or []
    finish(database, claim(database))
    deliver_all(database)
    return job_id


def claimed_now(database: Database, **given: Any) -> ClaimedJob:
    """Claim the job of a study that is compared with the earlier ones."""
    complete(database, COMPARING, study=receive(database, 100, **given))
    return claim(database)


def chosen(job: ClaimedJob) -> list[int]:
    return [prior.job_id for prior in job.priors]


def test_the_newest_results_of_the_patient_with_their_findings_and_reports(database: Database) -> None:
    old, older, oldest = (report_earlier(database, number, date) for number, date in enumerate(("20250601", "20240601", "20230601")))
    job = claimed_now(database)
    assert job.prior_rule == RULE
    assert chosen(job) == [old, older]
    assert oldest not in chosen(job)
    first = job.priors[0]
    assert (first.model_version, first.pipeline_digest, first.study_date, first.study_time, first.days) == (
        "1.0", DIGEST, "20250601", "101500", 215,
    )  # fmt: skip
    (finding,) = first.findings
    assert (finding.number, finding.meaning, finding.diameter_mm, finding.side) == (1, "Nodule", 6.5, "Right")
    assert finding.where == "Upper zone of lung, right"
    ((uid,),) = rows(database, f"SELECT sop_instance_uid FROM reports WHERE job_id = {old}")
    assert first.reports["pacs"][1] == uid


def test_a_job_without_the_rule_is_compared_with_nothing(database: Database) -> None:
    report_earlier(database, 1, "20250601")
    complete(database, plan(), study=receive(database, 100))
    job = claim(database)
    assert (job.prior_rule, job.priors) == (None, ())
    assert scalar(database, f"SELECT priors_chosen_at IS NULL FROM jobs WHERE id = {job.id}") is True


@pytest.mark.parametrize(
    "other",
    [
        {"patient_id": "P2"},
        {"issuer_of_patient_id": "ANOTHER"},
        {"patient_birth_date": "19700101"},
        {"body_part_examined": "ABDOMEN"},
        {"modality": "MR"},
        {"study_date": ""},
    ],
    ids=lambda values: next(iter(values)),
)
def test_another_patient_or_another_kind_of_series_is_no_earlier_result(database: Database, other: dict[str, object]) -> None:
    report_earlier(database, 1, "20250601", **other)
    assert chosen(claimed_now(database, patient_birth_date="19600101")) == []


def test_an_unknown_patient_has_no_earlier_results(database: Database) -> None:
    report_earlier(database, 1, "20250601", patient_id="")
    assert chosen(claimed_now(database, patient_id="")) == []


def test_a_birth_date_that_one_study_lacks_does_not_separate_them(database: Database) -> None:
    earlier = report_earlier(database, 1, "20250601")
    assert chosen(claimed_now(database, patient_birth_date="19600101")) == [earlier]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET state = 'superseded'",
        "UPDATE jobs SET state = 'cancelled', outcome = NULL",
        "UPDATE jobs SET state = 'failed', outcome = 'not_analysed'",
        "UPDATE jobs SET outcome = 'abstained'",
        "UPDATE jobs SET shadow = true",
        "UPDATE jobs SET model = 'another'",
        "UPDATE deliveries SET state = 'held', awaiting_verdict = true",
        "INSERT INTO models (name, version, digest, state, origin, title, manufacturer, status, not_for) "
        f"VALUES ('lung_nodule_ct', '1.0', '{DIGEST}', 'retired', 'package', '', '', 'research', '')",
    ],
)
def test_only_results_that_count_and_were_released(database: Database, change: str) -> None:
    report_earlier(database, 1, "20250601")
    run(database, change)
    complete(database, replace(COMPARING, pipeline_digest="e" * 64), study=receive(database, 100))
    assert chosen(claim(database)) == []


def test_findings_that_a_clinician_has_rejected_are_marked_and_a_rejected_result_is_left_out(database: Database) -> None:
    old = report_earlier(database, 1, "20240601")
    new = report_earlier(database, 2, "20250601")
    run(
        database,
        "INSERT INTO findings (job_id, ordinal, label, code_value, code_scheme, code_meaning, tier) "
        f"SELECT {new}, 2, label, code_value, code_scheme, code_meaning, tier FROM findings WHERE job_id = {new}",
    )
    for job, ordinal in ((old, 1), (new, 1)):
        finding = int(str(scalar(database, f"SELECT id FROM findings WHERE job_id = {job} AND ordinal = {ordinal}")))
        draft = VerdictDraft(VerdictKind.REJECTED, finding, RejectionReason.NORMAL_ANATOMY)
        give_verdict(database, job, draft, user="green", seen=SeenResult(1, database.now(), 1000))
    job = claimed_now(database)
    assert chosen(job) == [new]
    assert [finding.rejected for finding in job.priors[0].findings] == [True, False]


def test_every_attempt_has_the_same_earlier_results_whatever_comes_between(database: Database) -> None:
    """A result that is made later, a verdict, and a delivery do not change what the second attempt encodes."""
    first = report_earlier(database, 1, "20240601")
    job = claimed_now(database)
    at = scalar(database, f"SELECT priors_chosen_at FROM jobs WHERE id = {job.id}")
    fail_job(database, job, error="out of memory", permanent=False, retry_in_s=3600.0, max_attempts=3)
    later = report_earlier(database, 2, "20250601")
    finding = int(str(scalar(database, f"SELECT id FROM findings WHERE job_id = {first}")))
    give_verdict(
        database, first, VerdictDraft(VerdictKind.REJECTED, finding, RejectionReason.NORMAL_ANATOMY), user="green",
        seen=SeenResult(1, database.now(), 1000),
    )  # fmt: skip
    run(database, f"UPDATE deliveries SET state = 'given_up' WHERE job_id = {first}")
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() WHERE id = {job.id}")
    again = claim(database)
    assert (again.id, again.attempt) == (job.id, 2)
    assert again.priors == job.priors
    assert again.priors[0].reports == job.priors[0].reports
    assert later not in chosen(again)
    assert scalar(database, f"SELECT priors_chosen_at FROM jobs WHERE id = {job.id}") == at
    run(database, f"UPDATE jobs SET lease_until = node_now() - interval '1 s' WHERE id = {job.id}")
    assert reap_jobs(database, max_attempts=3) == 1, "the worker was killed"
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() WHERE id = {job.id}")
    assert claim(database).priors == job.priors


def test_that_there_is_none_is_chosen_too(database: Database) -> None:
    job = claimed_now(database)
    fail_job(database, job, error="out of memory", permanent=False, retry_in_s=0.0, max_attempts=3)
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() + interval '1 day' WHERE id = {job.id}")
    report_earlier(database, 1, "20240601")
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() WHERE id = {job.id}")
    assert claim(database).priors == ()


def test_the_key_of_a_job_does_not_depend_on_what_it_is_compared_with(database: Database) -> None:
    report_earlier(database, 1, "20250601")
    job = claimed_now(database)
    assert job.priors
    assert job.key == job_key("series:1.2.3.100.1:", [item.sha256 for item in job.inputs], DIGEST, 1)


def test_a_deliberate_repetition_chooses_anew_by_the_same_rule(database: Database) -> None:
    job = claimed_now(database)
    finish(database, job)
    deliver_all(database)
    earlier = report_earlier(database, 1, "20240601")
    selection = RerunSelection(jobs=(job.id,))
    (new,) = rerun(database, selection, lambda _: RerunTarget("1.0", DIGEST), actor="cli:ann", reason="the earlier study came late")
    again = claim(database)
    assert (again.id, again.prior_rule, chosen(again)) == (new, RULE, [earlier])


def test_a_single_image_is_compared_with_nothing(database: Database) -> None:
    Sender(database).send(1, kind=UnitKind.IMAGE, **NOW, study="1.2.9", series="1.2.9.1")
    complete(database, COMPARING, study="1.2.9")
    assert unit_of(database, "1.2.9").kind is UnitKind.IMAGE
    assert claim(database).prior_rule is None


def test_the_result_says_what_it_was_compared_with(database: Database) -> None:
    """In the audit event, in the view, in the export, and with the job."""
    earlier = report_earlier(database, 1, "20250601")
    job = claimed_now(database)
    said = FindingComparison(earlier, "1.0", "20250601", 215, Change.WITHIN_ERROR, 1, 2.5, 6.0, 110.0, 0.4, 0.5, 9.0, 8)
    place = OrganPlace((0.5, 0.25, 0.75), (110.0, 180.0, 260.0))
    (found,) = prediction().findings
    compared = Prediction(prediction().outcome, (replace(found, place=place, comparison=said),))
    commit_result(database, job, prediction=compared, identity=identity(), objects=(report(job),), timings=timings())
    ((named,),) = rows(database, f"SELECT details -> 'priors' FROM audit_events WHERE subject = 'job:{job.id}' AND action = 'job.reported'")
    assert named == [{"job": earlier, "version": "1.0", "digest": DIGEST}]
    entry = {"job_id": earlier, "model_version": "1.0", "model_digest": DIGEST, "study_date": "20250601", "days": 215}
    (row,) = [row for row in export_findings(database) if row["job_id"] == job.id]
    assert row["priors"] == [entry]
    assert row["comparison"]["finding"] == 1
    assert FindingComparison(**row["comparison"]) == said
    shown = show_job(database, job.id)
    assert shown["priors"] == [entry]
    assert shown["findings"][0]["organ_place"] == json.loads(json.dumps({"share": place.share, "extent_mm": place.extent_mm}))
    (other,) = [row for row in export_findings(database) if row["job_id"] == earlier]
    assert (other["priors"], other["comparison"]) == ([], None)
    complete(database, COMPARING, study=receive(database, 101, study_date="20260401"))
    (prior, _) = claim(database).priors
    assert prior.findings[0].place == place, "it is read again for the next comparison"


def test_the_thickness_of_the_slices_of_both_series_is_known(database: Database) -> None:
    report_earlier(database, 1, "20240601")
    report_earlier(database, 2, "20250601", slice_thickness_mm=5.0)
    job = claimed_now(database, slice_thickness_mm=1.25)
    assert (job.slice_thickness_mm, [prior.slice_thickness_mm for prior in job.priors]) == (1.25, [5.0, None])
