"""Shadow jobs for stored units: one for each, after all other work, never delivered, and without effect on later results."""

import pytest

from core.errors import LeaseLost
from core.states import ModelOrigin, ModelState, Priority
from db import audit
from db.complete.unrouted import reopen_unrouted
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob
from db.operations import model_registry
from db.trial.shadow_jobs import open_jobs, queue_shadow_job, shadow_plan
from db.trial.stored_units import StoredUnit, TrialSelection, stored_units
from db.viewer.viewed_unit import open_unit
from tests.support.records import (
    Sender,
    claim,
    complete,
    finish,
    identity,
    plan,
    prediction,
    report_study,
    rows,
    run,
    scalar,
    timings,
    unit_of,
)

NEW = identity("e" * 64)
PLAN = shadow_plan(NEW.name, NEW.version, NEW.digest, ("chest CT",))
SELECTION = TrialSelection(NEW.name, NEW.digest, ("chest CT",))


def stored(database: Database) -> StoredUnit:
    (unit,) = stored_units(database, SELECTION)
    return unit


def queue(database: Database) -> int | None:
    unit = stored(database)
    return queue_shadow_job(database, unit.id, unit.revision, PLAN, actor="cli:eve")


def claim_all(database: Database) -> list[ClaimedJob]:
    return claim_jobs(database, worker="w1", priorities=None, models=None, lease_s=60, limit=10)


def finish_shadow(database: Database, job: ClaimedJob) -> None:
    commit_result(database, job, prediction=prediction(0), identity=NEW, objects=(), timings=timings())


def test_a_unit_gets_one_shadow_job_of_its_images_without_destinations(database: Database) -> None:
    first = report_study(database)
    before = stored(database)
    assert (before.selected_by, before.job_id, before.images_removed) == (("chest CT",), None, False)
    job_id = queue(database)
    assert job_id is not None
    assert queue(database) == job_id
    assert (stored(database).job_id, stored(database).tried_for) == (job_id, ("chest CT",))
    assert open_jobs(database, [first, job_id]) == {job_id}
    inputs = "SELECT array_agg(instance_id) FROM job_inputs WHERE job_id = {}"
    assert scalar(database, inputs.format(job_id)) == scalar(database, inputs.format(first))
    queued = [event for event in audit.export(database) if event["action"] == "job.queued"]
    assert [(event["actor"], event["details"].get("shadow")) for event in queued] == [("conductor", None), ("cli:eve", True)]
    assert scalar(database, f"SELECT count(*) FROM outbox WHERE job_id = {job_id} AND queue = 'infer.routine'") == 1

    finish_shadow(database, claim(database))
    shown = show_job(database, job_id)
    assert (shown["job_state"], shown["shadow"], shown["destinations"], shown["deliveries"]) == ("delivered", True, [], [])
    assert open_jobs(database, [job_id]) == set()
    assert queue(database) == job_id, "a result is not made a second time"


def test_clinical_work_that_comes_later_is_claimed_first(database: Database) -> None:
    report_study(database)
    shadow = queue(database)
    sender = Sender(database)
    for number, priority in ((2, Priority.ROUTINE), (3, Priority.URGENT)):
        place = {"series": f"1.2.{number}", "study": f"1.{number}"}
        sender.send(1, **place)
        complete(database, plan(priority=priority), study=place["study"])
    claimed = claim_all(database)
    assert [job.priority for job in claimed] == [Priority.URGENT, Priority.ROUTINE, Priority.ROUTINE]
    assert claimed[-1].id == shadow


def test_nothing_is_queued_for_a_newer_revision_or_for_deleted_images(database: Database) -> None:
    report_study(database)
    unit = stored(database)
    run(database, "UPDATE instances SET removed_at = node_now()")
    assert stored(database).images_removed
    assert queue(database) is None
    run(database, "UPDATE instances SET removed_at = NULL")
    Sender(database).send(2)
    assert list(stored_units(database, SELECTION)) == [], "the unit is open again"
    assert queue_shadow_job(database, unit.id, unit.revision, PLAN, actor="cli:eve") is None
    assert scalar(database, "SELECT count(*) FROM jobs WHERE shadow") == 0


def test_the_viewer_opens_the_result_of_a_shadow_only_where_it_is_asked_for(database: Database) -> None:
    Sender(database).send(1)
    complete(database, reason="no route")
    shadow = queue(database)
    finish_shadow(database, claim(database))
    unit = unit_of(database).id
    shown = open_unit(database, unit, job_id=None, viewer="user:green", address="-")
    asked = open_unit(database, unit, job_id=shadow, viewer="user:green", address="-")
    assert shown is not None
    assert (shown.job, shown.findings, len(shown.images.hashes)) == (None, [], 1)
    assert asked is not None
    assert asked.job is not None
    assert asked.job.id == shadow


def test_a_cancelled_job_is_queued_again(database: Database) -> None:
    report_study(database)
    first = queue(database)
    run(database, f"UPDATE jobs SET state = 'cancelled' WHERE id = {first}")
    second = queue(database)
    assert second not in (None, first)
    assert claim(database).run == 2


def test_the_version_can_report_on_a_unit_on_which_it_was_tried(database: Database) -> None:
    """No route took the unit; it was tried, then the version was activated, and the unit is routed again in the same revision."""
    Sender(database).send(1)
    complete(database, reason="no route")
    shadow = queue(database)
    running = claim(database)
    assert reopen_unrouted(database, [unit_of(database).id], "admin")
    (reported,) = complete(database, plan(digest=NEW.digest)) or ()
    assert rows(database, f"SELECT state, superseded_by FROM jobs WHERE id = {shadow}") == [("superseded", reported)]
    assert rows(database, f"SELECT result FROM attempts WHERE job_id = {shadow}") == [("superseded",)]
    with pytest.raises(LeaseLost):
        finish_shadow(database, running)
    job = claim(database)
    assert (job.id, job.shadow, job.run, job.destinations) == (reported, False, 2, ("pacs",))


def test_a_version_on_trial_does_not_become_active_when_a_worker_runs_it(database: Database) -> None:
    """A name without an active version: the first pipeline that a worker serves would be activated."""
    number = model_registry.register_on_standby(database, NEW, origin=ModelOrigin.INSTALLED, actor="cli:eve")
    assert model_registry.register_model(database, NEW, origin=ModelOrigin.INSTALLED) is ModelState.STANDBY
    assert model_registry.register_on_standby(database, NEW, origin=ModelOrigin.INSTALLED, actor="cli:eve") == number
    events = [(event["action"], event["actor"]) for event in audit.export(database)]
    assert events == [("model.registered", "cli:eve")]
    assert model_registry.shadow_or_retire(database, NEW, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    model_registry.register_on_standby(database, NEW, origin=ModelOrigin.INSTALLED, actor="cli:eve")
    assert [one.state for one in model_registry.registered_models(database)] == [ModelState.SHADOW]


def test_units_are_listed_by_the_time_at_which_they_were_complete(database: Database) -> None:
    report_study(database)
    sender = Sender(database)
    sender.send(1, series="1.2.9", study="1.9")
    complete(database, plan(routes=("other",)), study="1.9")
    finish(database, claim(database))
    run(database, "UPDATE units SET completed_at = completed_at - interval '2 days' WHERE id = (SELECT min(id) FROM units)")
    late, early = stored_units(database, SELECTION)
    assert (late.selected_by, early.selected_by) == ((), ("chest CT",))
    long_ago = database.now().replace(year=2000)
    assert len(list(stored_units(database, TrialSelection(NEW.name, NEW.digest, ("chest CT",), since=long_ago)))) == 2
    assert list(stored_units(database, TrialSelection(NEW.name, NEW.digest, ("chest CT",), until=long_ago))) == []
