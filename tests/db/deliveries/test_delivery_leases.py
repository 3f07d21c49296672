"""Deliveries: claimed under a lease, ended in every way, reaped, retried by a person, and withdrawn when superseded."""

import pytest

from core.errors import LeaseLost
from core.states import JobState
from db.deliveries import delivery_leases
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.delivery_leases import ClaimedDelivery
from db.deliveries.delivery_results import fail_delivery, hold_delivery, record_stored, retry_delivery_later
from db.engine import Database
from db.jobs.job_admin import show_job
from db.listings.deliveries import list_deliveries
from tests.support.records import Sender, complete, delivery_states, job_state, plan, report_study, rows, run, scalar

WAITS = "SELECT extract(epoch FROM next_attempt_at - changed_at) FROM deliveries ORDER BY id"


@pytest.fixture
def reported(database: Database) -> int:
    """A reported job with deliveries to ``pacs`` and ``archive``; its id."""
    return report_study(database, plan(destinations=("pacs", "archive")))


def claim_all(database: Database, lease_s: float = 60.0, limit: int = 10) -> list[ClaimedDelivery]:
    return delivery_leases.claim_deliveries(database, sender="s1", lease_s=lease_s, limit=limit)


def test_a_job_is_delivered_when_the_last_destination_has_stored_it(database: Database, reported: int) -> None:
    pacs, archive = claim_all(database)
    assert (pacs.destination, pacs.attempt, pacs.kind, pacs.job_id) == ("pacs", 1, "sr", reported)
    assert delivery_states(database) == {"pacs": "sending", "archive": "sending"}
    record_stored(database, pacs, status=0)
    assert job_state(database) == JobState.REPORTED
    record_stored(database, archive, status=0xB000, note="coerced")
    assert job_state(database) == JobState.DELIVERED
    assert show_job(database, reported)["delivered_at"] is not None
    assert scalar(database, "SELECT count(*) FROM delivery_attempts WHERE result = 'stored' AND ended_at IS NOT NULL") == 2
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action IN ('delivery.stored', 'job.delivered')") == 3


def test_claims_of_some_destinations(database: Database, reported: int) -> None:
    assert [
        d.destination for d in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=5, destinations=("archive",))
    ] == ["archive"]


@pytest.mark.parametrize(("max_bytes", "claims"), [(10**6, [3, 1]), (3 * 10**6, [4]), (1, [1, 1, 1, 1])])
def test_the_objects_of_a_claim_are_bounded_in_bytes(database: Database, max_bytes: int, claims: list[int]) -> None:
    report_study(database, plan(destinations=("a", "b", "c", "d")))
    run(database, "UPDATE reports SET size_bytes = 300000")
    sizes = [len(delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=8, max_bytes=max_bytes)) for _ in claims]
    assert sizes == claims


def test_a_transient_error_waits(database: Database, reported: int) -> None:
    (first,) = claim_all(database, limit=1)
    retry_delivery_later(database, first, error="connection refused", in_s=3600)
    assert [d.destination for d in claim_all(database)] == ["archive"]
    assert retry_deliveries(database, [first.id], "admin") == [first.id]
    (again,) = claim_all(database)
    assert (again.id, again.attempt) == (first.id, 1)  # a person's retry starts the count again
    assert scalar(database, f"SELECT count(*) FROM delivery_attempts WHERE delivery_id = {first.id}") == 2


def test_failed_and_held_deliveries_wait_for_a_person(database: Database, reported: int) -> None:
    pacs, archive = claim_all(database)
    fail_delivery(database, pacs, error="SOP class not supported", status=0x0122)
    hold_delivery(database, archive, reason="accept_research is false")
    assert delivery_states(database) == {"pacs": "failed", "archive": "held"}
    assert claim_all(database) == []
    assert job_state(database) == JobState.REPORTED
    assert retry_deliveries(database, [pacs.id, archive.id, 999], "admin") == [pacs.id, archive.id]
    for delivery in claim_all(database):
        record_stored(database, delivery, status=0)
    assert job_state(database) == JobState.DELIVERED
    assert retry_deliveries(database, [pacs.id], "admin") == []


def test_after_a_reaped_lease_the_old_token_writes_nothing(database: Database, reported: int) -> None:
    old = claim_all(database, lease_s=-1.0)
    assert delivery_leases.reap_deliveries(database) == 2
    new = claim_all(database)
    assert [d.id for d in new] == [d.id for d in old]
    for end in (
        lambda: record_stored(database, old[0], status=0),
        lambda: retry_delivery_later(database, old[0], error="x", in_s=0),
        lambda: fail_delivery(database, old[0], error="x", status=None),
        lambda: hold_delivery(database, old[0], reason="x"),
    ):
        with pytest.raises(LeaseLost):
            end()
    assert delivery_states(database) == {"pacs": "sending", "archive": "sending"}
    assert scalar(database, "SELECT count(*) FROM delivery_attempts WHERE result = 'lost'") == 2


def test_deliveries_that_lose_their_sender_again_and_again_wait_longer_and_apart(database: Database, reported: int) -> None:
    waits = []
    for _ in range(12):
        claim_all(database, lease_s=-1.0)
        assert delivery_leases.reap_deliveries(database) == 2
        waits.append([float(str(s)) for (s,) in rows(database, WAITS)])
        run(database, "UPDATE deliveries SET next_attempt_at = node_now()")
    first, second, third, *_, last = waits
    assert first == pytest.approx([0.0, 0.0], abs=0.01), "the sender may have ended for another reason"  # two readings of the clock
    assert all(delivery_leases.LOST_BASE_S <= wait < 2 * delivery_leases.LOST_BASE_S for wait in second)
    assert second[0] != second[1], "they are not sent together again"
    assert third == pytest.approx([2 * wait for wait in second], abs=0.01)
    assert all(delivery_leases.LOST_CAP_S <= wait < 2 * delivery_leases.LOST_CAP_S for wait in last)


def test_a_delivery_that_is_superseded_while_it_is_sent_is_not_retried(database: Database, reported: int) -> None:
    pacs, archive = claim_all(database)
    Sender(database).send(2)
    complete(database, plan(destinations=("pacs", "archive")))
    record_stored(database, pacs, status=0)
    retry_delivery_later(database, archive, error="busy", in_s=0)
    assert delivery_states(database) == {"pacs": "stored", "archive": "withdrawn"}
    assert job_state(database) == JobState.SUPERSEDED
    assert retry_deliveries(database, [archive.id], "admin") == []


def test_expired_leases_of_a_superseded_job_are_withdrawn(database: Database, reported: int) -> None:
    claim_all(database, lease_s=-1.0)
    Sender(database).send(2)
    complete(database, plan(destinations=("pacs",)))
    delivery_leases.reap_deliveries(database)
    assert delivery_states(database) == {"pacs": "withdrawn", "archive": "withdrawn"}


def test_a_pending_delivery_of_a_superseded_job_is_not_claimed(database: Database, reported: int) -> None:
    run(database, "UPDATE jobs SET state = 'superseded'")
    assert claim_all(database) == []
    delivery_leases.reap_deliveries(database)
    assert set(delivery_states(database).values()) == {"withdrawn"}


def test_a_failed_delivery_of_a_superseded_job_is_withdrawn(database: Database, reported: int) -> None:
    """It counted as failed for ever: nobody can have it sent again."""
    for one in claim_all(database):
        fail_delivery(database, one, error="not supported", status=0x0122)
    delivery_leases.reap_deliveries(database)
    assert set(delivery_states(database).values()) == {"failed"}
    Sender(database).send(2)
    complete(database, plan(destinations=("pacs", "archive")))
    delivery_leases.reap_deliveries(database)
    assert set(delivery_states(database).values()) == {"withdrawn"}
    assert scalar(database, "SELECT DISTINCT note FROM deliveries") == "superseded after it had failed: not supported"


def test_list_by_destination_and_state(database: Database, reported: int) -> None:
    assert [row["destination"] for row in list_deliveries(database, destination="pacs")] == ["pacs"]
    assert list_deliveries(database, state="failed") == []
