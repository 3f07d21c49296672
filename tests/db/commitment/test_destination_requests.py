"""Storage commitment requests to destinations: sent, reported at any time, repeated, and interrupted at any point."""

import pytest

from core.settings.operations import WebhookEvent
from core.states import JobState
from db.commitment import destination_requests
from db.commitment.destination_reports import ReportResult, ResendPolicy, record_report
from db.commitment.destination_requests import CommitmentRequest
from db.deliveries import delivery_leases
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.listings.deliveries import list_deliveries
from db.operations import webhook_notifications
from tests.support.records import delivery_states, job_state, plan, report_study, rows, run, scalar

TWICE = ResendPolicy(limit=2, base_s=0.0, cap_s=900.0)


def store(database: Database, *, commit: bool = True) -> None:
    """Deliver everything; with ``commit`` the destinations are asked for commitment."""
    for delivery in delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10):
        record_stored(database, delivery, status=0, commit=commit)


@pytest.fixture
def stored(database: Database) -> int:
    """A job whose one report ``pacs`` and ``archive`` have stored and are to commit to."""
    job_id = report_study(database, plan(destinations=("pacs", "archive")))
    store(database)
    return job_id


def request_commitment(
    database: Database, destination: str = "pacs", *, max_attempts: int = 9, answer_s: float = 3600.0
) -> CommitmentRequest:
    destination_requests.create_request(database, destination, dwell_s=0)
    request = destination_requests.claim_request(database, destination, lease_s=60, max_attempts=max_attempts)
    assert request is not None
    destination_requests.record_requested(database, request, answer_s=answer_s)
    return request


def report(
    database: Database, request: CommitmentRequest, *, committed: bool = True, reason: str = "no such object instance"
) -> ReportResult:
    uids = [uid for _, uid in request.instances]
    return record_report(
        database,
        destinations=[request.destination],
        transaction_uid=request.transaction_uid,
        committed=uids if committed else [],
        failed={} if committed else dict.fromkeys(uids, reason),
        policy=TWICE,
    )


def test_delivered_only_when_every_destination_has_committed(database: Database, stored: int) -> None:
    assert job_state(database) == JobState.REPORTED
    pacs, archive = request_commitment(database, "pacs"), request_commitment(database, "archive")
    assert pacs.transaction_uid != archive.transaction_uid
    assert pacs.transaction_uid.startswith("2.25.")
    assert report(database, pacs) is ReportResult.TAKEN
    assert delivery_states(database) == {"pacs": "committed", "archive": "stored"}
    assert job_state(database) == JobState.REPORTED
    assert report(database, archive) is ReportResult.TAKEN
    assert job_state(database) == JobState.DELIVERED
    assert report(database, archive) is ReportResult.TAKEN, "the same report again is harmless"
    assert scalar(database, "SELECT count(*) FROM commitment_requests WHERE state = 'answered'") == 2
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'job.delivered'") == 1
    assert scalar(database, "SELECT count(*) FROM v_deliveries WHERE committed_at IS NOT NULL") == 2


def test_a_job_is_delivered_when_stored_if_commitment_is_not_wanted(database: Database) -> None:
    report_study(database)
    store(database, commit=False)
    assert job_state(database) == JobState.DELIVERED
    assert not destination_requests.create_request(database, "pacs", dwell_s=0)


def test_objects_stored_just_now_wait_for_the_rest_of_their_job(database: Database, stored: int) -> None:
    assert not destination_requests.create_request(database, "pacs", dwell_s=60)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    assert not destination_requests.create_request(database, "pacs", dwell_s=0)


def test_a_request_whose_sender_died_is_repeated_with_the_same_uid(database: Database, stored: int) -> None:
    destination_requests.create_request(database, "pacs", dwell_s=0)
    first = destination_requests.claim_request(database, "pacs", lease_s=-1, max_attempts=9)
    second = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=9)
    assert first is not None
    assert second is not None
    assert (second.id, second.transaction_uid, second.attempts) == (first.id, first.transaction_uid, 2)
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=9) is None, "it is leased"
    assert report(database, first) is ReportResult.TAKEN, "the report came before the request was recorded as sent"
    destination_requests.record_requested(database, second, answer_s=0)
    assert delivery_states(database)["pacs"] == "committed"
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=9) is None


def test_an_unanswered_request_is_repeated_and_a_late_report_counts(database: Database, stored: int) -> None:
    first = request_commitment(database, answer_s=-1)
    second = request_commitment(database, answer_s=3600)
    assert second.transaction_uid != first.transaction_uid
    assert second.instances == first.instances
    assert report(database, first) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "committed"
    assert report(database, second) is ReportResult.TAKEN


def test_a_request_to_an_unreachable_destination_does_not_count(database: Database, stored: int) -> None:
    destination_requests.create_request(database, "pacs", dwell_s=0)
    for _ in range(3):
        request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=1)
        assert request is not None
        destination_requests.retry_request_later(database, request, why="no connection", in_s=-1, counts=False)
    assert "no connection" in list_deliveries(database, destination="pacs")[0]["note"]


def test_without_any_report_the_delivery_fails_and_can_be_sent_again(database: Database, stored: int) -> None:
    for _ in range(3):
        request_commitment(database, max_attempts=3, answer_s=-1)
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3) is None
    (row,) = list_deliveries(database, destination="pacs")
    assert row["state"] == "failed"
    assert "did not answer 3 storage commitment requests" in row["note"]
    assert retry_deliveries(database, [row["delivery_id"]], "admin") == [row["delivery_id"]]
    store(database)
    assert report(database, request_commitment(database)) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "committed"


def test_a_late_report_does_not_count_for_what_a_person_has_sent_again(database: Database, stored: int) -> None:
    old = request_commitment(database, max_attempts=1, answer_s=-1)
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=1) is None  # not answered: it fails
    (row,) = list_deliveries(database, destination="pacs")
    assert retry_deliveries(database, [row["delivery_id"]], "admin") == [row["delivery_id"]]
    store(database)
    assert report(database, old) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "stored", "it was sent again since, and the later sending has to be committed"
    assert report(database, request_commitment(database)) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "committed"


def test_what_is_not_committed_is_sent_again_a_limited_number_of_times(database: Database, stored: int) -> None:
    for number in range(3):
        request = request_commitment(database)
        assert report(database, request, committed=False) is ReportResult.TAKEN
        (row,) = list_deliveries(database, destination="pacs")
        assert "no such object instance" in row["note"]
        if number < 2:
            assert row["state"] == "pending"
            store(database)
    assert row["state"] == "failed"
    assert "after 2 resends" in row["note"]
    assert job_state(database) == JobState.REPORTED


def test_a_report_on_an_earlier_sending_does_not_count(database: Database, stored: int) -> None:
    old = request_commitment(database, answer_s=-1)
    new = request_commitment(database)
    assert report(database, new, committed=False) is ReportResult.TAKEN
    store(database)
    assert report(database, old) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "stored", "it was sent again since, and the later sending has to be committed"
    assert report(database, request_commitment(database)) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "committed"


def test_what_a_report_does_not_mention_stays_open(database: Database, stored: int) -> None:
    request = request_commitment(database, answer_s=-1)
    empty = record_report(
        database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=["1.2.3"], failed={}, policy=TWICE
    )
    assert empty is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "stored"
    assert request_commitment(database).instances == request.instances


def test_only_the_destination_of_the_request_can_report(database: Database, stored: int) -> None:
    request = request_commitment(database)
    uids = [uid for _, uid in request.instances]
    for names, uid in ((["archive"], request.transaction_uid), ([], request.transaction_uid), (["pacs"], "2.25.1")):
        result = record_report(database, destinations=names, transaction_uid=uid, committed=uids, failed={}, policy=TWICE)
        assert result is ReportResult.UNKNOWN
    assert delivery_states(database)["pacs"] == "stored"


def test_deliveries_of_a_superseded_job_are_not_sent_again(database: Database, stored: int) -> None:
    request = request_commitment(database)
    run(database, "UPDATE jobs SET state = 'superseded'")
    assert report(database, request, committed=False) is ReportResult.TAKEN
    assert delivery_states(database)["pacs"] == "withdrawn"


def test_stored_deliveries_are_done_when_commitment_is_switched_off(database: Database, stored: int) -> None:
    request_commitment(database, "pacs")
    assert destination_requests.stop_requesting(database, ["pacs", "archive"]) == 2
    assert job_state(database) == JobState.DELIVERED
    assert destination_requests.stop_requesting(database, ["pacs", "archive"]) == 0


def test_a_report_of_failure_after_commitment_was_switched_off_reopens_the_job(database: Database, stored: int) -> None:
    request = request_commitment(database)
    destination_requests.stop_requesting(database, ["pacs", "archive"])
    assert job_state(database) == JobState.DELIVERED
    assert report(database, request, committed=False) is ReportResult.TAKEN
    assert (delivery_states(database)["pacs"], job_state(database)) == ("pending", JobState.REPORTED)
    store(database, commit=False)
    assert (delivery_states(database)["pacs"], job_state(database)) == ("stored", JobState.DELIVERED)


@pytest.mark.parametrize("reported", [True, False])
def test_the_webhook_is_notified_of_what_a_destination_does_not_commit_to(database: Database, stored: int, reported: bool) -> None:
    """It was of failed deliveries, but not of those whose commitment fails after they were stored."""
    for _ in range(3):
        request = request_commitment(database, max_attempts=3, answer_s=-1)
        if reported:
            report(database, request, committed=False)
            store(database)
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3) is None
    assert delivery_states(database)["pacs"] == "failed"
    webhook_notifications.collect_notifications(database, [WebhookEvent.FAILURE])
    delivery = scalar(database, "SELECT id FROM deliveries WHERE destination = 'pacs'")
    assert rows(database, "SELECT event, subject, details ->> 'destination' FROM notifications") == [
        ("delivery.failed", f"delivery:{delivery}", "pacs")
    ]


def test_the_wait_before_it_is_sent_again_is_bounded() -> None:
    """However many resends the configuration allows."""
    policy = ResendPolicy(limit=5000, base_s=5.0, cap_s=900.0)
    assert [policy.delay_s(resends) for resends in (0, 1, 4, 8, 4000)] == [5.0, 10.0, 80.0, 900.0, 900.0]
