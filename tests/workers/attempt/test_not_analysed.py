"""When a job's attempts are used up, a valid report says that the unit was not analysed and why; a later success supersedes it."""

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from core.states import Outcome, UnitKind
from db.complete.content_conflicts import list_undecided, settle_conflict
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs import job_leases, outbox
from db.jobs.claim import claim_jobs, claim_not_analysed
from db.jobs.job_admin import cancel_job, requeue_jobs, show_job
from db.jobs.job_records import ClaimedJob
from db.jobs.not_analysed import MAX_TRIES_PERMANENT, MAX_TRIES_TRANSIENT
from db.listings.jobs import list_jobs
from db.operations.results_export import export_findings
from deploy.demo.synthetic.lesion import lesion_dataset
from tests.support.queued_jobs import SKIN, JobFactory
from tests.support.records import run as execute
from tests.support.records import scalar
from tests.workers.conftest import report_of, texts_of
from workers.attempt import not_analysed, wake_up
from workers.attempt.lease import Lease
from workers.child.memory_limit import MemoryWatch
from workers.child.runtime import ChildRuntime


def lose_attempts(database: Database, times: int = 3) -> None:
    """Let ``times`` workers claim the next job and be killed."""
    for _ in range(times):
        assert claim_jobs(database, worker="gone:1", priorities=None, models=None, lease_s=-1.0)
        assert job_leases.reap_jobs(database, max_attempts=times) == 1


def claim_owed_report(database: Database, lease_s: float = 30.0) -> ClaimedJob:
    execute(database, "UPDATE jobs SET next_attempt_at = node_now()")
    (job,) = claim_not_analysed(database, worker="test:1", priorities=None, lease_s=lease_s)
    return job


def test_a_job_whose_workers_were_all_killed_is_reported_as_not_analysed(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    assert [row.job_id for row in outbox.pending_wake_ups(runtime.database, 10)] == [job_id]  # a wake-up is published for it
    assert wake_up.handle_wake_up(runtime) == 1
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", "not_analysed")
    assert [(row["kind"], row["result"]) for row in shown["attempts_made"]] == [("analysis", "lost")] * 3 + [("explanation", "reported")]
    assert shown["attempts"] == 3
    assert [(row["destination"], row["state"]) for row in shown["deliveries"]] == [("pacs", "pending")]
    document, source = report_of(runtime, job_id), lesion_dataset(1, size=(150, 200))
    assert "given up after 3 attempts" in "\n".join(texts_of(document))
    assert "was killed, or hung" in "\n".join(texts_of(document))
    assert (document.PatientID, document.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert runtime.models.by_digest == {}  # no model was loaded
    (row,) = export_findings(runtime.database)
    assert (row["job_state"], row["outcome"], row["sr_sop_instance_uid"]) == ("quarantined", "not_analysed", document.SOPInstanceUID)
    assert "given up" in str(row["reason"])
    assert wake_up.handle_wake_up(runtime) == 0


def test_a_permanent_failure_is_reported_and_the_report_is_delivered(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1, digest="e" * 64)
    assert wake_up.handle_wake_up(runtime) == 2  # the attempt, and the report of why
    (delivery,) = delivery_leases.claim_deliveries(runtime.database, sender="s", lease_s=60, limit=5)
    record_stored(runtime.database, delivery, status=0)
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("failed", "not_analysed")  # also when delivered, so that a person looks
    assert "same release" in "\n".join(texts_of(report_of(runtime, job_id)))


@pytest.mark.parametrize("damage", ["missing", "no DICOM"])
def test_a_report_on_unreadable_inputs_uses_the_stored_header(runtime: ChildRuntime, factory: JobFactory, damage: str) -> None:
    job_id, sha256 = factory.photograph(1)
    path = runtime.blobs.path(sha256)
    path.unlink()
    if damage == "no DICOM":
        path.write_bytes(b"\x00" * 1000)
    lose_attempts(runtime.database)
    wake_up.handle_wake_up(runtime)
    document, source = report_of(runtime, job_id), lesion_dataset(1, size=(150, 200))
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "StudyDate"):
        assert document.get(keyword) == source.get(keyword), keyword
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_a_file_that_ended_the_first_attempt_to_report_is_not_read_again(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, sha256 = factory.photograph(1)
    lose_attempts(runtime.database)
    assert claim_owed_report(runtime.database, lease_s=-1.0).not_analysed_attempts == 1
    assert job_leases.reap_jobs(runtime.database, max_attempts=3) == 1
    assert show_job(runtime.database, job_id)["job_state"] == "quarantined"
    runtime.blobs.path(sha256).unlink()
    os.mkfifo(runtime.blobs.path(sha256))  # opening it blocks
    wake_up.handle_wake_up(runtime)
    assert show_job(runtime.database, job_id)["outcome"] == Outcome.NOT_ANALYSED
    assert report_of(runtime, job_id).PatientID == lesion_dataset(1, size=(150, 200)).PatientID


def test_a_job_without_any_report_says_so_in_its_row(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    for tries in range(1, MAX_TRIES_PERMANENT + 1):
        claim_owed_report(runtime.database, lease_s=-1.0)
        job_leases.reap_jobs(runtime.database, max_attempts=3, retry_base_s=60.0)
        waits = scalar(runtime.database, "SELECT next_attempt_at > node_now() FROM jobs")
        assert waits == (tries > 1)  # the pause grows
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", None)
    assert "no report could be made that says so" in shown["reason"]
    assert claim_not_analysed(runtime.database, worker="w", priorities=None, lease_s=30) == []
    assert scalar(runtime.database, "SELECT count(*) FROM audit_events WHERE action = 'job.unexplained'") == 1
    assert requeue_jobs(runtime.database, [job_id], "admin") == [job_id]  # the same job, because nothing was reported yet
    wake_up.handle_wake_up(runtime)
    assert show_job(runtime.database, job_id)["job_state"] == "reported"


def test_a_failed_attempt_to_report_is_retried_later(runtime: ChildRuntime, factory: JobFactory, tmp_path: Path) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    aside = runtime.blobs.tmp_dir.rename(tmp_path / "aside")  # the disk cannot be written
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", None)
    aside.rename(runtime.blobs.tmp_dir)
    assert wake_up.handle_wake_up(runtime) == 0  # not yet
    execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
    outbox.mark_published(runtime.database, [row.id for row in outbox.pending_wake_ups(runtime.database, 10)])
    assert outbox.republish_stale(runtime.database, dwell_s=0, cap=10) == 1
    assert wake_up.handle_wake_up(runtime) == 1
    assert show_job(runtime.database, job_id)["outcome"] == "not_analysed"


def test_attempts_to_report_are_retried_with_growing_pauses_and_end(runtime: ChildRuntime, factory: JobFactory, tmp_path: Path) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    runtime.blobs.tmp_dir.rename(tmp_path / "aside")  # the disk cannot be written
    waits = []
    for _ in range(MAX_TRIES_TRANSIENT):
        execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
        assert wake_up.handle_wake_up(runtime) == 1
        waits.append(float(str(scalar(runtime.database, "SELECT extract(epoch FROM next_attempt_at - node_now()) FROM jobs"))))
    execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
    assert wake_up.handle_wake_up(runtime) == 0
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits[3:]))
    (row,) = list_jobs(runtime.database, state="quarantined")
    assert "no report could be made that says so" in row["reason"]
    assert row["outcome"] is None
    assert outbox.republish_stale(runtime.database, dwell_s=0, cap=10) == 0
    assert requeue_jobs(runtime.database, [job_id], "admin") == [job_id]


def test_a_later_success_supersedes_and_names_the_first_report_as_predecessor(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    wake_up.handle_wake_up(runtime)
    first = report_of(runtime, job_id)
    (delivery,) = delivery_leases.claim_deliveries(runtime.database, sender="s", lease_s=60, limit=5)
    record_stored(runtime.database, delivery, status=0)
    assert requeue_jobs(runtime.database, [job_id], "admin") == [job_id]
    assert wake_up.handle_wake_up(runtime) == 1
    old = show_job(runtime.database, job_id)
    new = show_job(runtime.database, old["superseded_by"])
    assert (old["job_state"], new["job_state"], new["run"]) == ("superseded", "reported", 2)
    second = report_of(runtime, new["job_id"])
    assert second.SOPInstanceUID != first.SOPInstanceUID
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert next(export_findings(runtime.database))["job_state"] == "superseded"


def test_what_was_not_delivered_is_withdrawn_when_it_runs_again(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    wake_up.handle_wake_up(runtime)
    requeue_jobs(runtime.database, [job_id], "admin")
    wake_up.handle_wake_up(runtime)
    assert [row["state"] for row in show_job(runtime.database, job_id)["deliveries"]] == ["withdrawn"]
    new = show_job(runtime.database, job_id)["superseded_by"]
    assert "PredecessorDocumentsSequence" not in report_of(runtime, new)
    assert not cancel_job(runtime.database, job_id, "admin")


def test_a_report_that_was_made_is_not_cancelled(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    wake_up.handle_wake_up(runtime)
    assert not cancel_job(runtime.database, job_id, "admin")


def test_a_failed_shadow_is_not_reported(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.photograph(1)
    execute(runtime.database, "UPDATE jobs SET shadow = true, destinations = '{}'")
    lose_attempts(runtime.database)
    assert claim_not_analysed(runtime.database, worker="w", priorities=None, lease_s=30) == []


def test_the_report_goes_only_to_recipients_of_the_model_s_results(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1, destinations=("pacs", "clinic"))  # the clinic does not accept results of research models
    lose_attempts(runtime.database)
    wake_up.handle_wake_up(runtime)
    assert [row["destination"] for row in show_job(runtime.database, job_id)["deliveries"]] == ["pacs"]


def test_a_draining_worker_gives_the_job_back(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    job_leases.release_job(runtime.database, claim_owed_report(runtime.database))
    again = claim_owed_report(runtime.database)
    assert (again.id, again.not_analysed_attempts) == (job_id, 1)


def test_the_model_is_described_without_loading_it(runtime: ChildRuntime, factory: JobFactory) -> None:
    factory.photograph(1)
    lose_attempts(runtime.database)
    job = claim_owed_report(runtime.database)
    assert not_analysed.describe_model(runtime, job)[0].title != SKIN
    unknown = replace(job, model="gone", model_version="9", pipeline_digest="f" * 64)
    described, limits = not_analysed.describe_model(runtime, unknown)
    assert (described.name, described.version, described.digest, described.status, limits) == ("gone", "9", "f" * 64, "research", ())
    exceeded: list[int] = []
    with Lease(runtime.database, [job], 30.0, runtime.draining) as lease, MemoryWatch(1 << 40, exceeded.append) as watch:
        not_analysed.report_not_analysed(runtime, replace(job, model="gone"), lease, watch)  # the report is valid nevertheless
    assert "given up" in "\n".join(texts_of(report_of(runtime, job.id)))


def test_a_new_revision_supersedes_a_job_that_was_not_analysed(runtime: ChildRuntime, factory: JobFactory) -> None:
    job_id, _ = factory.photograph(1)
    lose_attempts(runtime.database)
    changed = lesion_dataset(1, size=(150, 200))
    changed.StudyDescription = "corrected"
    factory.receive(changed, UnitKind.IMAGE)
    (question,) = list_undecided(runtime.database, 10)
    settle_conflict(runtime.database, question.id, same=False)
    new, _ = factory.queue([changed], UnitKind.IMAGE)
    assert show_job(runtime.database, job_id)["job_state"] == "superseded"
    assert [job.id for job in claim_jobs(runtime.database, worker="w", priorities=None, models=None, lease_s=30)] == [new]
    assert claim_not_analysed(runtime.database, worker="w", priorities=None, lease_s=30) == []
