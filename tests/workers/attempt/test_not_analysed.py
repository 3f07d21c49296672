"""Attempts are used up: a valid report says that the unit was not analysed and why, and a later success supersedes it."""

import io
import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.settings.settings import Settings
from core.states import Outcome, Priority, UnitKind
from db.blobs.store import Blobs
from db.complete import units
from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases, outbox
from db.jobs.not_analysed import PATIENT_TRIES, TRIES
from db.operations.results_export import findings
from db.records import ClaimedJob
from deploy.demo.synthetic.lesion import lesion_dataset
from tests.support.queued_jobs import SKIN, JobFactory, configure
from tests.support.records import run as execute
from tests.support.records import scalar
from workers.attempt import claim, not_analysed
from workers.attempt.child_runtime import Runtime
from workers.attempt.drain_flag import DrainFlag
from workers.attempt.lease import Lease
from workers.attempt.limits import MemoryWatch
from workers.encode.validate.validator import validate


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    return Runtime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")


@pytest.fixture
def queueing(database: Database, settings: Settings) -> JobFactory:
    return JobFactory(database, Blobs(settings.blobs_dir))


def killed(database: Database, times: int = 3) -> None:
    """A worker claims the next job and is never heard of again, so often."""
    for _ in range(times):
        assert job_leases.claim(database, worker="gone:1", priorities=None, models=None, lease_s=-1.0)
        assert job_leases.reap(database, max_attempts=times) == 1


def unexplained(database: Database, lease_s: float = 30.0) -> ClaimedJob:
    execute(database, "UPDATE jobs SET next_attempt_at = node_now()")
    (job,) = job_leases.claim_unexplained(database, worker="test:1", priorities=None, lease_s=lease_s)
    return job


def report(runtime: Runtime, job_id: int) -> Dataset:
    content = runtime.blobs.read(str(scalar(runtime.database, f"SELECT sha256 FROM reports WHERE job_id = {job_id} AND kind = 'sr'")))
    assert validate(content) == ()
    return dcmread(io.BytesIO(content))


def texts(document: Dataset) -> str:
    return "\n".join(str(element.value) for element in document.iterall() if element.keyword == "TextValue")


def test_a_job_that_killed_its_worker_each_time_is_reported_as_not_analysed(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    assert [row.job_id for row in outbox.pending(runtime.database, 10)] == [job_id]  # somebody is woken for it
    assert claim.wake(runtime) == 1
    shown = job_leases.show(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", "not_analysed")
    assert [(row["kind"], row["result"]) for row in shown["attempts_made"]] == [("analysis", "lost")] * 3 + [("explanation", "reported")]
    assert shown["attempts"] == 3
    assert [(row["destination"], row["state"]) for row in shown["deliveries"]] == [("pacs", "pending")]
    document, source = report(runtime, job_id), lesion_dataset(1, size=(150, 200))
    assert "given up after 3 attempts" in texts(document)
    assert "was killed, or hung" in texts(document)
    assert (document.PatientID, document.StudyInstanceUID) == (source.PatientID, source.StudyInstanceUID)
    assert runtime.models == {}  # no network was loaded
    (row,) = findings(runtime.database)
    assert (row["job_state"], row["outcome"], row["sr_sop_instance_uid"]) == ("quarantined", "not_analysed", document.SOPInstanceUID)
    assert "given up" in str(row["reason"])
    assert claim.wake(runtime) == 0


def test_what_cannot_succeed_is_reported_too_and_the_report_is_delivered(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1, digest="e" * 64)
    assert claim.wake(runtime) == 2  # the attempt, and the report of why
    (delivery,) = delivery_leases.claim(runtime.database, sender="s", lease_s=60, limit=5)
    delivery_leases.stored(runtime.database, delivery, status=0)
    shown = job_leases.show(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("failed", "not_analysed")  # delivered or not, a person has to look
    assert "same release" in texts(report(runtime, job_id))


@pytest.mark.parametrize("damage", ["missing", "no DICOM"])
def test_inputs_that_cannot_be_read_are_reported_by_what_was_kept_of_them(runtime: Runtime, queueing: JobFactory, damage: str) -> None:
    job_id, sha256 = queueing.photograph(1)
    path = runtime.blobs.path(sha256)
    path.unlink()
    if damage == "no DICOM":
        path.write_bytes(b"\x00" * 1000)
    killed(runtime.database)
    claim.wake(runtime)
    document, source = report(runtime, job_id), lesion_dataset(1, size=(150, 200))
    for keyword in ("PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID", "StudyDate"):
        assert document.get(keyword) == source.get(keyword), keyword
    (study,) = document.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_what_killed_the_first_attempt_to_explain_is_not_read_again(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, sha256 = queueing.photograph(1)
    killed(runtime.database)
    assert unexplained(runtime.database, lease_s=-1.0).not_analysed_attempts == 1
    assert job_leases.reap(runtime.database, max_attempts=3) == 1
    assert job_leases.show(runtime.database, job_id)["job_state"] == "quarantined"
    runtime.blobs.path(sha256).unlink()
    os.mkfifo(runtime.blobs.path(sha256))  # whoever opens it waits for ever
    claim.wake(runtime)
    assert job_leases.show(runtime.database, job_id)["outcome"] == Outcome.NOT_ANALYSED
    assert report(runtime, job_id).PatientID == lesion_dataset(1, size=(150, 200)).PatientID


def test_where_not_even_a_report_can_be_made_the_row_says_so(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    for tries in range(1, TRIES + 1):
        unexplained(runtime.database, lease_s=-1.0)
        job_leases.reap(runtime.database, max_attempts=3, retry_base_s=60.0)
        waits = scalar(runtime.database, "SELECT next_attempt_at > node_now() FROM jobs")
        assert waits == (tries > 1)  # what kills its worker again and again does so less and less often
    shown = job_leases.show(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", None)
    assert "no report could be made that says so" in shown["reason"]
    assert job_leases.claim_unexplained(runtime.database, worker="w", priorities=None, lease_s=30) == []
    assert scalar(runtime.database, "SELECT count(*) FROM audit_events WHERE action = 'job.unexplained'") == 1
    assert job_leases.requeue(runtime.database, [job_id], "admin") == [job_id]  # the same job: nothing was said yet
    claim.wake(runtime)
    assert job_leases.show(runtime.database, job_id)["job_state"] == "reported"


def test_a_failing_attempt_to_explain_waits_and_is_tried_again(runtime: Runtime, queueing: JobFactory, tmp_path: Path) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    aside = runtime.blobs.tmp_dir.rename(tmp_path / "aside")  # the disk takes nothing
    claim.wake(runtime)
    shown = job_leases.show(runtime.database, job_id)
    assert (shown["job_state"], shown["outcome"]) == ("quarantined", None)
    aside.rename(runtime.blobs.tmp_dir)
    assert claim.wake(runtime) == 0  # not yet
    execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
    outbox.published(runtime.database, [row.id for row in outbox.pending(runtime.database, 10)])
    assert outbox.republish_stale(runtime.database, dwell_s=0, cap=10) == 1
    assert claim.wake(runtime) == 1
    assert job_leases.show(runtime.database, job_id)["outcome"] == "not_analysed"


def test_an_attempt_to_explain_that_always_fails_is_made_less_and_less_often_and_then_no_more(
    runtime: Runtime, queueing: JobFactory, tmp_path: Path
) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    runtime.blobs.tmp_dir.rename(tmp_path / "aside")  # the disk takes nothing, for ever
    waits = []
    for _ in range(PATIENT_TRIES):
        execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
        assert claim.wake(runtime) == 1
        waits.append(float(str(scalar(runtime.database, "SELECT extract(epoch FROM next_attempt_at - node_now()) FROM jobs"))))
    execute(runtime.database, "UPDATE jobs SET next_attempt_at = node_now()")
    assert claim.wake(runtime) == 0
    assert all(later > 1.5 * sooner for sooner, later in pairwise(waits[3:]))  # half a second is none on a busy machine
    (row,) = job_leases.listing(runtime.database, state="quarantined")
    assert "no report could be made that says so" in row["reason"]
    assert row["outcome"] is None
    assert outbox.republish_stale(runtime.database, dwell_s=0, cap=10) == 0
    assert job_leases.requeue(runtime.database, [job_id], "admin") == [job_id]


def test_a_later_success_supersedes_and_names_what_was_said_before(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    claim.wake(runtime)
    first = report(runtime, job_id)
    (delivery,) = delivery_leases.claim(runtime.database, sender="s", lease_s=60, limit=5)
    delivery_leases.stored(runtime.database, delivery, status=0)
    assert job_leases.requeue(runtime.database, [job_id], "admin") == [job_id]
    assert claim.wake(runtime) == 1
    old = job_leases.show(runtime.database, job_id)
    new = job_leases.show(runtime.database, old["superseded_by"])
    assert (old["job_state"], new["job_state"], new["run"]) == ("superseded", "reported", 2)
    second = report(runtime, new["job_id"])
    assert second.SOPInstanceUID != first.SOPInstanceUID
    (study,) = second.PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert next(findings(runtime.database))["job_state"] == "superseded"


def test_what_was_not_delivered_is_withdrawn_when_it_runs_again(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    claim.wake(runtime)
    job_leases.requeue(runtime.database, [job_id], "admin")
    claim.wake(runtime)
    assert [row["state"] for row in job_leases.show(runtime.database, job_id)["deliveries"]] == ["withdrawn"]
    new = job_leases.show(runtime.database, job_id)["superseded_by"]
    assert "PredecessorDocumentsSequence" not in report(runtime, new)
    assert not job_leases.cancel(runtime.database, job_id, "admin")


def test_a_report_that_was_made_is_not_cancelled(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    claim.wake(runtime)
    assert not job_leases.cancel(runtime.database, job_id, "admin")


def test_a_shadow_that_fails_says_nothing(runtime: Runtime, queueing: JobFactory) -> None:
    queueing.photograph(1)
    execute(runtime.database, "UPDATE jobs SET shadow = true, destinations = '{}'")
    killed(runtime.database)
    assert job_leases.claim_unexplained(runtime.database, worker="w", priorities=None, lease_s=30) == []


def test_it_goes_only_where_results_of_the_model_would_have_gone(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1, destinations=("pacs", "clinic"))  # the clinic takes no research
    killed(runtime.database)
    claim.wake(runtime)
    assert [row["destination"] for row in job_leases.show(runtime.database, job_id)["deliveries"]] == ["pacs"]


def test_a_worker_that_drains_gives_it_back(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    job_leases.release(runtime.database, unexplained(runtime.database))
    again = unexplained(runtime.database)
    assert (again.id, again.not_analysed_attempts) == (job_id, 1)


def test_who_would_have_answered_is_known_without_the_model(runtime: Runtime, queueing: JobFactory) -> None:
    queueing.photograph(1)
    killed(runtime.database)
    job = unexplained(runtime.database)
    assert not_analysed.who(runtime, job)[0].title != SKIN
    strange = replace(job, model="gone", model_version="9", pipeline_digest="f" * 64)
    speaker, limits = not_analysed.who(runtime, strange)
    assert (speaker.name, speaker.version, speaker.digest, speaker.status, limits) == ("gone", "9", "f" * 64, "research", ())
    told: list[int] = []
    with Lease(runtime.database, [job], 30.0, runtime.draining) as lease, MemoryWatch(1 << 40, told.append) as watch:
        not_analysed.explain(runtime, replace(job, model="gone"), lease, watch)  # the report is valid all the same
    assert "given up" in texts(report(runtime, job.id))


def test_a_new_revision_takes_the_place_of_what_was_not_analysed(runtime: Runtime, queueing: JobFactory) -> None:
    job_id, _ = queueing.photograph(1)
    killed(runtime.database)
    changed = lesion_dataset(1, size=(150, 200))
    changed.StudyDescription = "corrected"
    queueing.receive(changed, UnitKind.IMAGE)
    (question,) = units.undecided(runtime.database, 10)
    units.settle(runtime.database, question.id, same=False)
    new, _ = queueing.queue([changed], UnitKind.IMAGE)
    assert job_leases.show(runtime.database, job_id)["job_state"] == "superseded"
    assert [job.id for job in job_leases.claim(runtime.database, worker="w", priorities=None, models=None, lease_s=30)] == [new]
    assert job_leases.claim_unexplained(runtime.database, worker="w", priorities=None, lease_s=30) == []
