"""Pauses: claims respect them, nothing is lost while they last, and everything is taken up when they end."""

import pytest

from db.commitment.destination_requests import create_request
from db.deliveries.delivery_leases import claim_deliveries
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.operations.pauses import PauseKind, list_pauses, pause, resume
from db.operations.status import node_status
from tests.support.records import DIGEST, Sender, complete, plan, report_study, rows, run, scalar

ROUTE, DESTINATION = PauseKind.ROUTE, PauseKind.DESTINATION


def _claimable(database: Database) -> list[int]:
    return [job.id for job in claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=9)]


def test_jobs_of_a_paused_route_wait_and_are_taken_up_when_it_is_resumed(database: Database) -> None:
    for study in ("1.2.1", "1.2.2"):
        Sender(database).send(1, study=study, series=f"{study}.1")
    (waiting,) = complete(database, plan(), study="1.2.1") or []
    (other,) = complete(database, plan(digest="e" * 64, routes=("skin",)), study="1.2.2") or []
    assert pause(database, ROUTE, "chest CT", reason="the model is being checked", actor="user:ann")
    assert not pause(database, ROUTE, "chest CT", reason="again", actor="user:bob")
    assert _claimable(database) == [other]
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {waiting}") == "queued"
    run(database, f"UPDATE jobs SET queued_at = node_now() - interval '1 day' WHERE id = {waiting}")
    assert node_status(database).oldest_queued_s < 3600, "waiting for a person is no backlog"
    run(database, "UPDATE outbox SET published_at = node_now()")
    assert resume(database, ROUTE, "chest CT", reason="checked", actor="user:ann")
    assert not resume(database, ROUTE, "chest CT", reason="", actor="user:ann")
    assert scalar(database, f"SELECT count(*) FROM outbox WHERE published_at IS NULL AND job_id = {waiting}") == 1
    assert _claimable(database) == [waiting]
    events = rows(database, "SELECT actor, action, subject, details ->> 'reason' FROM audit_events WHERE action LIKE 'route.%' ORDER BY id")
    assert events == [
        ("user:ann", "route.paused", "route:chest CT", "the model is being checked"),
        ("user:ann", "route.resumed", "route:chest CT", "checked"),
    ]


def test_a_job_that_another_route_asked_for_too_is_not_delayed(database: Database) -> None:
    Sender(database).send(1)
    (job,) = complete(database, plan(digest=DIGEST, routes=("chest CT", "second reader"))) or []
    pause(database, ROUTE, "chest CT", reason="x", actor="a")
    assert _claimable(database) == [job]


def test_a_job_of_which_every_route_is_paused_waits(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan(routes=("chest CT", "second reader")))
    for name in ("chest CT", "second reader", "skin"):
        pause(database, ROUTE, name, reason="x", actor="a")
    assert _claimable(database) == []


@pytest.fixture
def reported(database: Database) -> None:
    """A result for two destinations."""
    report_study(database, plan(destinations=("pacs", "archive")))


def test_deliveries_to_a_paused_destination_wait(database: Database, reported: None) -> None:
    pause(database, DESTINATION, "pacs", reason="maintenance", actor="user:ann")
    found = [(one.kind, one.name, one.reason, one.actor) for one in list_pauses(database)]
    assert found == [(DESTINATION, "pacs", "maintenance", "user:ann")]
    (sent,) = claim_deliveries(database, sender="s", lease_s=60, limit=9)
    assert sent.destination == "archive"
    assert scalar(database, "SELECT state FROM deliveries WHERE destination = 'pacs'") == "pending"
    resume(database, DESTINATION, "pacs", reason="done", actor="user:ann")
    (late,) = claim_deliveries(database, sender="s", lease_s=60, limit=9)
    assert late.destination == "pacs"


def test_no_storage_commitment_is_requested_from_a_paused_destination(database: Database, reported: None) -> None:
    for delivery in claim_deliveries(database, sender="s", lease_s=60, limit=9):
        record_stored(database, delivery, status=0, commit=True)
    pause(database, DESTINATION, "pacs", reason="x", actor="a")
    assert not create_request(database, "pacs", dwell_s=0)
    assert create_request(database, "archive", dwell_s=0)
