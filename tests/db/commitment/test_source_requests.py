"""Storage commitment requests of sources: kept, reported on once, and evidence that a series is complete."""

from db.commitment import source_requests
from db.complete import units
from db.engine import Database
from tests.support.records import CT, Sender, scalar, unit_of


def request_commitment(database: Database, *numbers: int, series: str = "1.2.3.4", uid: str = "2.25.7") -> int:
    pairs = [(CT, f"{series}.{number}") for number in numbers]
    return source_requests.record_source_request(database, source="PACS", transaction_uid=uid, instances=pairs, reserve_s=0)


def test_a_request_is_claimed_until_it_is_answered(database: Database) -> None:
    request_commitment(database, 1, 2)
    first = source_requests.claim_source_request(database, lease_s=-1)
    assert first is not None
    assert (first.source, first.transaction_uid, first.instances) == ("PACS", "2.25.7", ((CT, "1.2.3.4.1"), (CT, "1.2.3.4.2")))
    second = source_requests.claim_source_request(database, lease_s=60)
    assert second is not None
    assert second.attempts == 2
    assert source_requests.claim_source_request(database, lease_s=60) is None
    source_requests.retry_answer_later(database, second, why="no connection", in_s=-1)
    third = source_requests.claim_source_request(database, lease_s=60)
    assert third is not None
    source_requests.record_answered(database, third, held=2)
    assert source_requests.get_source_request(database, third.id) is None
    assert scalar(database, "SELECT held FROM source_commitment_requests WHERE state = 'answered'") == 2


def test_the_same_request_again_is_answered_again(database: Database) -> None:
    id = request_commitment(database, 1)
    request = source_requests.claim_source_request(database, lease_s=60)
    assert request is not None
    source_requests.record_unanswered(database, request, why="unreachable")
    assert source_requests.claim_source_request(database, lease_s=60) is None
    assert request_commitment(database, 1, 2) == id
    again = source_requests.claim_source_request(database, lease_s=60)
    assert again is not None
    assert (again.attempts, len(again.instances)) == (1, 2)


def test_a_request_that_the_listener_answers_itself_is_reserved(database: Database) -> None:
    id = source_requests.record_source_request(database, source="PACS", transaction_uid="2.25.8", instances=[(CT, "1.2")], reserve_s=60)
    assert source_requests.claim_source_request(database, lease_s=60) is None
    assert source_requests.get_source_request(database, id) is not None


def test_all_contents_of_a_uid_are_returned(database: Database) -> None:
    sender = Sender(database)
    sender.send(1)
    sender.send(1, content="other bytes")
    assert [content.sop_class_uid for content in source_requests.indexed_contents(database, ["1.2.3.4.1", "9.9"])["1.2.3.4.1"]] == [CT, CT]


def test_a_request_that_lists_all_that_is_held_is_evidence(database: Database) -> None:
    sender = Sender(database)
    for number in (1, 2, 3):
        sender.send(number)
    sender.send(1, series="1.2.3.5")
    request_commitment(database, 1, 2)
    assert unit_of(database).requested is None, "it lists less than is held"
    request_commitment(database, 1, 2, 3, 4)
    assert unit_of(database).requested is None, "a listed instance was not received"
    request_commitment(database, 1, 2, 3)
    unit = unit_of(database)
    assert (unit.requested, unit.requested_at is not None) == (3, True)
    assert unit_of(database, index=1).requested is None, "the request does not list the other series"
    assert unit.id in [due.id for due in units.due_units(database, limit=9)], "the conductor checks it now"
    sender.send(4)
    later = unit_of(database)
    assert later.requested_at is not None
    assert later.requested_at < later.last_received_at, "an instance that was received later makes it worthless"
