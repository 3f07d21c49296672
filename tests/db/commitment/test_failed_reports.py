"""Storage commitment reports that could not be sent: listed with the reason, sent again or given up by a person, audited."""

import pytest

from db.commitment import source_requests
from db.commitment.failed_reports import give_up_reports, list_failed_reports, report_refusals, retry_reports
from db.engine import Database
from tests.support.records import CT, rows, scalar


@pytest.fixture
def failed(database: Database) -> int:
    """A request whose report could not be sent; its number."""
    id = source_requests.record_source_request(
        database, source="PACS", transaction_uid="2.25.7", instances=[(CT, "1.2"), (CT, "1.3")], reserve_s=0
    )
    request = source_requests.claim_source_request(database, lease_s=60)
    assert request is not None
    source_requests.record_unanswered(database, request, why="connection refused")
    return id


def state(database: Database) -> object:
    return scalar(database, "SELECT state FROM source_commitment_requests")


def test_a_failed_report_is_listed_and_sent_again(database: Database, failed: int) -> None:
    (found,) = list_failed_reports(database, limit=10)
    assert (found.id, found.source, found.instances, found.attempts, found.note) == (failed, "PACS", 2, 1, "connection refused")
    assert list_failed_reports(database, limit=10, before=failed) == []
    assert retry_reports(database, [failed, 999], "cli:ann") == [failed]
    assert list_failed_reports(database, limit=10) == []
    again = source_requests.claim_source_request(database, lease_s=60)
    assert again is not None
    assert (again.id, again.attempts) == (failed, 1)
    assert retry_reports(database, [failed], "cli:ann") == []
    assert report_refusals(database, [failed, 999], []) == [f"report {failed} is still to be sent", "there is no report 999"]
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'commitment.retried_source'") == [("cli:ann",)]


def test_a_failed_report_is_given_up_and_sent_after_all(database: Database, failed: int) -> None:
    assert give_up_reports(database, [failed], actor="user:ann", reason="the modality is gone") == [failed]
    assert list_failed_reports(database, limit=10) == []
    assert source_requests.claim_source_request(database, lease_s=60) is None
    note = scalar(database, "SELECT note FROM source_commitment_requests")
    assert note == "given up by ann: the modality is gone (it was failed: connection refused)"
    audited = "SELECT actor, subject, details ->> 'reason' FROM audit_events WHERE action = 'commitment.given_up_source'"
    assert rows(database, audited) == [("user:ann", f"answer:{failed}", "the modality is gone")]
    assert give_up_reports(database, [failed], actor="user:ann", reason="again") == []
    assert report_refusals(database, [failed], []) == [f"report {failed} is given up already"]
    assert retry_reports(database, [failed], "cli:ann") == [failed]
    assert state(database) == "pending"


def test_a_request_that_comes_again_is_reported_on_although_it_was_given_up(database: Database, failed: int) -> None:
    give_up_reports(database, [failed], actor="user:ann", reason="x")
    source_requests.record_source_request(database, source="PACS", transaction_uid="2.25.7", instances=[(CT, "1.2")], reserve_s=0)
    assert state(database) == "pending"


def test_a_report_that_is_to_be_sent_is_not_given_up(database: Database, failed: int) -> None:
    retry_reports(database, [failed], "cli:ann")
    assert give_up_reports(database, [failed], actor="user:ann", reason="x") == []
    assert state(database) == "pending"


def test_an_attempt_without_the_blob_store_does_not_count(database: Database, failed: int) -> None:
    retry_reports(database, [failed], "cli:ann")
    request = source_requests.claim_source_request(database, lease_s=60)
    assert request is not None
    source_requests.retry_answer_later(database, request, why="the bucket does not answer", in_s=-1, counts=False)
    again = source_requests.claim_source_request(database, lease_s=60)
    assert again is not None
    assert again.attempts == request.attempts
