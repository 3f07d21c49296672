"""Completion of a unit: evidence, jobs, wake-ups and events in one transaction, and the end of older revisions."""

from core.states import JobState, UnitState
from db.complete import units
from db.complete.completion import complete_unit
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored, retry_delivery_later
from db.engine import Database
from db.jobs import outbox
from db.jobs.claim import claim_jobs
from db.jobs.job_admin import show_job
from db.listings.deliveries import list_deliveries
from db.listings.jobs import list_jobs
from tests.support.records import Sender, claim, complete, evidence, finish, plan, report_study, run, scalar, unit_of


def states(database: Database) -> dict[int, str]:
    return {row["job_id"]: row["job_state"] for row in list_jobs(database)}


def test_evidence_job_wake_up_and_events_are_written_together(database: Database) -> None:
    Sender(database).send(1)
    ids = complete(database, plan())
    assert ids is not None
    (job_id,) = ids
    (row,) = outbox.pending_wake_ups(database, 10)
    assert (row.job_id, row.queue, row.model) == (job_id, "infer.routine", "lung_nodule_ct")
    shown = show_job(database, job_id)
    assert shown["completion_evidence"]["rule"] == "quiet"
    assert len(shown["images"]) == 1
    assert scalar(database, "SELECT string_agg(action, ',' ORDER BY id) FROM audit_events") == "instance.received,unit.completed,job.queued"


def test_an_instance_received_in_between_prevents_completion(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    seen = unit_of(database)
    sender.send(2)
    answer = complete_unit(database, seen, evidence=evidence(), plans=(plan(),), routes=(), selected=None, reason="")
    assert answer is None
    assert states(database) == {}
    assert unit_of(database).state is UnitState.OPEN
    assert scalar(database, "SELECT count(*) FROM outbox") == 0


def test_a_second_completion_queues_nothing(database: Database) -> None:
    Sender(database).send(1)
    seen = unit_of(database)
    answers = [complete_unit(database, seen, evidence=evidence(), plans=(plan(),), routes=(), selected=None, reason="") for _ in range(2)]
    assert answers[1] is None
    assert len(states(database)) == 1


def test_a_unit_without_route_is_recorded_with_the_reason(database: Database) -> None:
    Sender(database).send(1)
    assert complete(database, reason="no route takes MR") == []
    assert unit_of(database).reason == "no route takes MR"
    assert units.due_units(database, limit=10) == []
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'unit.not_routed'") == 1


def test_plans_with_the_same_key_share_a_job(database: Database) -> None:
    Sender(database).send(1)
    unit = unit_of(database)
    plans = (plan(destinations=("pacs",)), plan(destinations=("pacs", "research"), routes=("second",)))
    ids = complete_unit(database, unit, evidence=evidence(), plans=plans, routes=("chest CT", "second"), selected=None, reason="")
    assert ids is not None
    assert len(set(ids)) == 1
    assert claim(database).destinations == ("pacs", "research")


def test_a_reported_job_gets_deliveries_for_a_new_destination(database: Database) -> None:
    report_study(database)
    (delivery,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5)
    record_stored(database, delivery, status=0)
    run(database, "UPDATE units SET state = 'open'")  # completed again with the same content
    ids = complete(database, plan(destinations=("pacs", "research")))
    assert ids is not None
    assert states(database) == {ids[0]: JobState.REPORTED}
    assert [d.destination for d in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5)] == ["research"]


def test_dropped_instances_are_not_analysed(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    sender.send(2)
    complete_unit(
        database, unit_of(database), evidence=evidence(2), plans=(plan(),), routes=(), selected=True, reason="", dropped=("1.2.3.4.1",)
    )
    assert [item.sop_instance_uid for item in claim(database).inputs] == ["1.2.3.4.2"]


def test_a_new_revision_supersedes_and_withdraws(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    (first,) = complete(database, plan()) or []
    finish(database, claim(database))
    sender.send(2)
    assert states(database) == {first: JobState.REPORTED}
    (second,) = complete(database, plan()) or []
    assert states(database) == {first: JobState.SUPERSEDED, second: JobState.QUEUED}
    assert show_job(database, first)["superseded_by"] == second
    assert [row["state"] for row in list_deliveries(database)] == ["withdrawn"]
    assert delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5) == []
    finish(database, claim(database))
    (delivery,) = delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5)
    assert delivery.job_id == second


def test_a_new_revision_without_route_ends_the_old_job(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    (first,) = complete(database, plan()) or []
    sender.send(2)
    complete(database, reason="no route")
    assert states(database) == {first: JobState.SUPERSEDED}


def test_the_predecessor_is_the_report_that_a_destination_has_stored(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    complete(database, plan(destinations=("a", "b")))
    finish(database, claim(database))
    on_the_wire = {
        delivery.destination: delivery for delivery in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5)
    }
    sender.send(2)
    complete(database, plan(destinations=("a", "b")))
    record_stored(database, on_the_wire["a"], status=0)
    assert claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60) == []  # b may store it yet
    retry_delivery_later(database, on_the_wire["b"], error="no answer", in_s=1.0)
    stored_uid = on_the_wire["a"].sop_instance_uid
    assert {name: before[1] for name, before in claim(database).predecessors.items()} == {"a": stored_uid}
