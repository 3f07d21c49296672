"""Jobs with a result that a person runs again: on the same or another version, as new objects that supersede the old ones."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.errors import ModelError
from core.states import JobState
from core.uids import job_key
from db.bulk.row_range import RowRange
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob
from db.jobs.rerun import RerunTarget
from db.jobs.rerun_plan import PlannedRun, RerunSelection, plan_reruns, rerun
from tests.support.records import DIGEST, Sender, claim, complete, deliver_all, finish, plan, report_study, rows, run, scalar

SAME, OTHER = RerunTarget("1.0", DIGEST), RerunTarget("2.0", "e" * 64)
STUDY = RerunSelection(study="1.2.3")


@pytest.fixture
def delivered(database: Database) -> int:
    """A delivered job; its id."""
    job_id = report_study(database)
    deliver_all(database)
    return job_id


def run_again(database: Database, target: RerunTarget, selection: RerunSelection = STUDY) -> list[int]:
    return rerun(database, selection, lambda _: target, actor="cli:ann", reason="a test")


def planned(database: Database, target: RerunTarget = SAME, selection: RerunSelection = STUDY) -> list[PlannedRun]:
    return plan_reruns(database, selection, lambda _: target)


def test_a_plan_changes_nothing(database: Database, delivered: int) -> None:
    (found,) = planned(database, OTHER)
    assert (found.job_id, found.action) == (delivered, "run on 2.0, supersede the result of 1.0")
    assert scalar(database, "SELECT count(*) FROM jobs") == 1


def test_a_result_whose_images_are_removed_after_the_plan_stays(database: Database, delivered: int) -> None:
    def find_while_retention_runs(_: str) -> RerunTarget:
        run(database, "UPDATE instances SET removed_at = node_now()")
        return OTHER

    assert rerun(database, STUDY, find_while_retention_runs, actor="cli:ann", reason="a test") == []
    assert rows(database, "SELECT id, state FROM jobs") == [(delivered, "delivered")]


@pytest.mark.parametrize("target", [SAME, OTHER])
def test_a_delivered_job_runs_again_and_is_superseded(database: Database, delivered: int, target: RerunTarget) -> None:
    (new,) = run_again(database, target)
    job = claim(database)
    assert (job.id, job.model_version, job.pipeline_digest) == (new, target.version, target.digest)
    assert job.run == (2 if target is SAME else 1)
    assert job.key == job_key("series:1.2.3.4:", [item.sha256 for item in job.inputs], target.digest, job.run)
    old = rows(database, f"SELECT r.sop_instance_uid FROM reports r WHERE r.job_id = {delivered}")
    assert job.predecessors["pacs"][1] == old[0][0]  # the new report names the one that it replaces
    run(database, f"UPDATE jobs SET pipeline_digest = '{DIGEST}' WHERE id = {new}")  # the records of the tests have one digest
    finish(database, replace(job, pipeline_digest=DIGEST))
    deliver_all(database)
    assert (show_job(database, delivered)["job_state"], show_job(database, new)["job_state"]) == (JobState.SUPERSEDED, JobState.DELIVERED)
    uids = [uid for (uid,) in rows(database, "SELECT sop_instance_uid FROM reports ORDER BY id")]
    assert len(set(uids)) == 2  # never the same UID with other content
    ((actor, reason, version),) = rows(
        database, "SELECT actor, details ->> 'reason', details ->> 'version' FROM audit_events WHERE action = 'job.rerun'"
    )
    assert (actor, reason, version) == ("cli:ann", "a test", target.version)


def test_of_one_version_and_in_parts(database: Database, delivered: int) -> None:
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    (second,) = complete(database, plan(), study="1.2.9") or []
    finish(database, claim(database))
    run(database, f"UPDATE jobs SET model_version = '0.9' WHERE id = {second}")
    assert [row.job_id for row in planned(database, OTHER, RerunSelection(made_by="0.9"))] == [second]
    assert [row.job_id for row in planned(database, OTHER, RerunSelection(made_by="1.0", model="lung_nodule_ct"))] == [delivered]
    every = RerunSelection(since=database.now() - timedelta(hours=1))
    for part, jobs in ((RowRange(limit=1), [delivered]), (RowRange(after=delivered), [second]), (RowRange(last=delivered), [delivered])):
        assert [row.job_id for row in plan_reruns(database, every, lambda _: OTHER, part)] == jobs
    assert not RerunSelection(made_by="0.9").everything


def test_destinations_are_added(database: Database, delivered: int) -> None:
    selection = replace(STUDY, to=("later", "pacs"))
    assert planned(database, SAME, selection)[0].destinations == ("pacs", "later")
    run_again(database, SAME, selection)
    assert claim(database).destinations == ("pacs", "later")


def test_refusals_say_why(database: Database, delivered: int) -> None:
    explicit = RerunSelection(jobs=(delivered, 999))
    assert [row.refusal for row in planned(database, SAME, explicit)] == ["", "there is no such job"]
    (new,) = run_again(database, SAME)
    assert planned(database, SAME, explicit)[0].refusal == f"it is superseded by job {new}"
    assert planned(database, SAME, RerunSelection(jobs=(new,)))[0].refusal == "it is queued and has no result"
    assert planned(database) == []  # a study: only what has a result
    assert run_again(database, SAME, explicit) == []
    finish(database, claim(database))
    run(database, "UPDATE instances SET removed_at = node_now()")
    assert "retention" in planned(database)[0].refusal
    run(database, "UPDATE instances SET removed_at = NULL")

    def no_version(model: str) -> RerunTarget:
        raise ModelError(f"no version of {model} is 9.9")

    assert plan_reruns(database, STUDY, no_version)[0].refusal.startswith("no version of lung_nodule_ct is 9.9")


def test_a_version_that_another_job_of_the_unit_has_is_refused(database: Database) -> None:
    Sender(database).send(1)
    first, second = complete(database, plan(), plan(digest=OTHER.digest)) or []
    finish(database, claim_job(database, first))
    assert planned(database, OTHER)[0].refusal == f"job {second} of the same images has version 2.0"
    assert run_again(database, OTHER) == []


def test_a_version_that_was_tried_in_shadow_reports_and_the_shadow_is_superseded(database: Database) -> None:
    Sender(database).send(1)
    shadow = replace(plan(digest=OTHER.digest), destinations=(), shadow=True)
    first, trial = complete(database, plan(), shadow) or []
    finish(database, claim_job(database, first))
    assert planned(database, SAME, RerunSelection(jobs=(trial,)))[0].refusal.startswith("it is the trial of a shadow")
    (new,) = run_again(database, OTHER)
    ended = rows(database, "SELECT id, superseded_by FROM jobs WHERE state = 'superseded' ORDER BY id")
    assert ended == [(first, new), (trial, new)]
    again = claim_job(database, new)
    assert (again.shadow, again.run, again.destinations) == (False, 2, ("pacs",))


def claim_job(database: Database, id: int) -> ClaimedJob:
    (job,) = claim_jobs(database, worker="w1", priorities=None, models=None, lease_s=60, job_id=id)
    return job
