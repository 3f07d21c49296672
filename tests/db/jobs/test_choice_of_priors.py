"""When the earlier results of a job are chosen: after a job on an earlier study that runs; anew where the attempt was given back."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.policy.priors.same_patient import IdentityDoubt
from core.policy.priors.sentences import REPLACED_SOON, prior_in_words
from core.states import Priority, ResultKind, UnitKind
from db.deliveries.resend import resend
from db.deliveries.resend_plan import ResendSelection, ResendTargets
from db.engine import Database
from db.jobs.claim import claim_jobs, claim_pipeline_batch
from db.jobs.finish import commit_result
from db.jobs.job_admin import cancel_job
from db.jobs.job_leases import fail_job, release_job
from db.jobs.job_records import ClaimedJob
from db.jobs.rerun import RerunTarget
from db.jobs.rerun_plan import RerunSelection, rerun
from db.patients.erased_job import erase_job
from db.patients.erasure_plan import plan_erasure
from db.patients.erasure_record import begin_erasure
from db.patients.patient_key import PatientKey
from tests.db.jobs.test_prior_results import COMPARING, chosen, claimed_now, receive, report_earlier
from tests.support.node_process import wait_until
from tests.support.records import (
    DIGEST,
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
)

WAITS_FOR_LOCK = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def due(database: Database) -> list[ClaimedJob]:
    """Claim the next due job, as a worker does that has nothing to do."""
    return claim_jobs(database, worker="w2", priorities=None, models=None, lease_s=60)


def two_studies(database: Database) -> tuple[ClaimedJob, int]:
    """Receive two studies of one patient together; return the claimed job of the earlier one, and the number of the other job."""
    earlier = receive(database, 1, study_date="20250601")
    complete(database, plan(), study=earlier)
    (later,) = complete(database, COMPARING, study=receive(database, 100)) or []
    return claim(database), later


def test_a_job_waits_while_a_job_on_an_earlier_study_of_the_patient_runs(database: Database) -> None:
    """Both studies came together, and workers claim the next series while one is computed."""
    running, later = two_studies(database)
    assert due(database) == []
    batch = claim_pipeline_batch(
        database, worker="w1", priorities=(Priority.ROUTINE,), kind=UnitKind.SERIES, digests=(DIGEST,), lease_s=60, limit=1
    )
    assert batch == []
    finish(database, running)
    (job,) = due(database)
    assert (job.id, chosen(job)) == (later, [running.id])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE studies SET patient_id = 'P2' WHERE study_instance_uid = '1.2.3.1'",
        "UPDATE studies SET issuer_of_patient_id = 'ANOTHER' WHERE study_instance_uid = '1.2.3.1'",
        "UPDATE studies SET patient_id = ''",
        "UPDATE studies SET study_date = '20260102', study_time = '101500'",
        "UPDATE studies SET study_date = '20270101' WHERE study_instance_uid = '1.2.3.1'",
        "UPDATE studies SET study_date = '' WHERE study_instance_uid = '1.2.3.1'",
        "UPDATE jobs SET lease_until = node_now() - interval '1 s' WHERE state = 'running'",
        "UPDATE jobs SET model = 'another' WHERE state = 'running'",
        "UPDATE jobs SET shadow = true WHERE state = 'running'",
        "UPDATE jobs SET priority = 'urgent' WHERE state = 'queued'",
        "UPDATE jobs SET prior_rule = NULL WHERE state = 'queued'",
        "UPDATE jobs SET priors_chosen_at = node_now() WHERE state = 'queued'",
    ],
)
def test_a_job_waits_for_no_other_job(database: Database, change: str) -> None:
    _, later = two_studies(database)
    run(database, change)
    assert [job.id for job in due(database)] == [later]


def test_a_job_whose_first_attempt_was_given_back_chooses_anew(database: Database) -> None:
    job = claimed_now(database)
    assert chosen(job) == []
    release_job(database, job)
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() + interval '1 day' WHERE id = {job.id}")
    earlier = report_earlier(database, 1, "20250601")
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() WHERE id = {job.id}")
    again = claim(database)
    assert (again.id, again.attempt, chosen(again)) == (job.id, 1, [earlier])
    fail_job(database, again, error="out of memory", permanent=False, retry_in_s=0.0, max_attempts=3)
    second = claim(database)
    release_job(database, second)
    run(database, "UPDATE jobs SET state = 'superseded' WHERE state = 'delivered'")
    assert chosen(claim(database)) == [earlier], "an attempt that counts was made before, and its choice stays"


def test_an_earlier_result_that_is_erased_at_this_moment_is_not_chosen(database: Database) -> None:
    """The claim waits for the erasure, and does not fail."""
    earlier = report_earlier(database, 1, "20250601")
    complete(database, COMPARING, study=receive(database, 100))
    person = PatientKey("P1")
    erasure = begin_erasure(database, person, plan_erasure(database, person), actor="cli:ann", reason="asked")
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            erase_job(connection, erasure, earlier, cancel=True)
            waiting = pool.submit(claim, database)
            wait_until("it waits", lambda: waiting.done() or bool(scalar(database, WAITS_FOR_LOCK)), every_s=0.05)
            assert not waiting.done()
        job = waiting.result(600)
    assert chosen(job) == []
    assert scalar(database, f"SELECT priors_chosen_at IS NOT NULL FROM jobs WHERE id = {job.id}") is True


def test_a_destination_that_is_added_later_gets_the_earlier_report_by_sending_it_too(database: Database) -> None:
    """As the documentation says: the report that is referred to goes there by a command; a new run refers to nothing that it lacks."""
    earlier = report_earlier(database, 1, "20250601")
    job = claimed_now(database)
    finish(database, job)
    deliver_all(database)
    targets = ResendTargets({"pacs": frozenset({ResultKind.SR}), "archive": frozenset({ResultKind.SR})}, frozenset({"pacs", "archive"}))
    resend(database, ResendSelection(jobs=(job.id,), to="archive"), targets, actor="cli:ann", reason="a new archive")
    deliver_all(database)
    rerun(database, RerunSelection(jobs=(job.id,)), lambda _: RerunTarget("1.0", DIGEST), actor="cli:ann", reason="a new archive")
    again = claim(database)
    assert set(again.destinations) == {"pacs", "archive"}
    assert set(again.priors[0].reports) == {"pacs"}, "so that no report for both refers to it"
    resend(database, ResendSelection(jobs=(earlier,), to="archive"), targets, actor="cli:ann", reason="a new archive")
    deliver_all(database)
    at_archive = "SELECT r.sop_instance_uid FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.destination = 'archive'"
    assert job.priors[0].reports["pacs"][1] in [uid for (uid,) in rows(database, at_archive)]


def repeat(database: Database, job_id: int) -> int:
    """Run the job again on another version; return the new job's number."""
    (new,) = rerun(
        database, RerunSelection(jobs=(job_id,)), lambda _: RerunTarget("2.0", "e" * 64), actor="cli:ann", reason="a new version"
    )
    return new


def claimed_first(database: Database, **given: object) -> ClaimedJob:
    """Receive a study that is compared, and claim its job before every other one."""
    (later,) = complete(database, COMPARING, study=receive(database, 100, **given)) or []
    (job,) = claim_jobs(database, worker="w2", priorities=None, models=None, lease_s=60, job_id=later)
    return job


def test_a_result_counts_until_the_job_that_repeats_it_has_one(database: Database) -> None:
    """Its report is the last one that the destinations have; the comparison says which job made it, and that it is superseded."""
    first = report_earlier(database, 1, "20250601")
    new = repeat(database, first)
    job = claimed_first(database)
    assert chosen(job) == [first]
    assert (job.priors[0].superseded, job.priors[0].model_version) == (True, "1.0")
    assert set(job.priors[0].reports) == {"pacs"}
    assert REPLACED_SOON in prior_in_words(job.priors[0])
    fail_job(database, job, error="out of memory", permanent=False, retry_in_s=3600.0, max_attempts=3)
    (repeated,) = due(database)
    assert repeated.id == new
    commit_result(database, repeated, prediction=prediction(), identity=identity("e" * 64), objects=(report(repeated),), timings=timings())
    run(database, f"UPDATE jobs SET next_attempt_at = node_now() WHERE id = {job.id}")
    (again,) = due(database)
    assert (again.id, again.priors) == (job.id, job.priors), "the next attempt says the same"
    finish(database, again)
    (third,) = complete(database, COMPARING, study=receive(database, 101, study_date="20260401")) or []
    (job,) = due(database)
    assert (job.id, chosen(job)) == (third, [again.id, new])
    assert [prior.superseded for prior in job.priors] == [False, False]


def test_a_job_waits_while_the_repetition_of_an_earlier_one_runs(database: Database) -> None:
    first = report_earlier(database, 1, "20250601")
    new = repeat(database, first)
    (repeated,) = due(database)
    complete(database, COMPARING, study=receive(database, 100))
    assert due(database) == []
    commit_result(database, repeated, prediction=prediction(), identity=identity("e" * 64), objects=(report(repeated),), timings=timings())
    (job,) = due(database)
    assert chosen(job) == [new]


def test_a_result_whose_repetition_was_cancelled_counts_on(database: Database) -> None:
    first = report_earlier(database, 1, "20250601")
    assert cancel_job(database, repeat(database, first), actor="cli:ann")
    assert chosen(claimed_first(database)) == [first]


def test_a_result_whose_repetition_was_not_analysed_counts_no_more(database: Database) -> None:
    """The destinations have a report that says so, in the place of the first one."""
    first = report_earlier(database, 1, "20250601")
    new = repeat(database, first)
    run(database, f"UPDATE jobs SET state = 'failed', outcome = 'not_analysed' WHERE id = {new}")
    assert chosen(claimed_first(database)) == []


def test_a_superseded_result_that_nothing_repeats_counts_no_more(database: Database) -> None:
    first = report_earlier(database, 1, "20250601")
    run(database, f"UPDATE jobs SET state = 'superseded' WHERE id = {first}")
    assert chosen(claimed_first(database)) == []


def test_a_result_that_waited_for_a_verdict_is_not_disclosed_by_its_repetition(database: Database) -> None:
    study = receive(database, 1, study_date="20250601")
    (first,) = complete(database, replace(plan(), awaiting_verdict=("pacs",)), study=study) or []
    finish(database, claim(database))
    repeat(database, first)
    assert rows(database, f"SELECT state FROM deliveries WHERE job_id = {first}") == [("withdrawn",)]
    assert chosen(claimed_first(database)) == []


def test_a_repetition_chooses_anew_what_is_left_out(database: Database) -> None:
    report_earlier(database, 1, "20250601", patient_birth_date="19600101")
    job = claimed_first(database, patient_birth_date="19700101")
    assert job.left_out == ((IdentityDoubt.BIRTH_DATE, 1),)
    finish(database, job)
    run(database, "UPDATE studies SET patient_birth_date = '19700101'")
    rerun(database, RerunSelection(jobs=(job.id,)), lambda _: RerunTarget("1.0", DIGEST), actor="cli:ann", reason="corrected")
    assert claim(database).left_out == ()
