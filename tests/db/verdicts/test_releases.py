"""Release of results that wait for a verdict: by verdicts, by a person, and once; what is amended goes only where the assessment goes."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import DBAPIError

from core.policy.verdicts import AMENDED_NOTE, WAITING_NOTE, RejectionReason, VerdictDraft, VerdictKind, VerdictRefused
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.giving_up import give_up_deliveries
from db.engine import Database
from db.jobs.job_admin import requeue_jobs
from db.verdicts.releases import release_result
from db.verdicts.result_state import SeenResult
from db.verdicts.result_verdicts import read_verdicts
from db.verdicts.verdicts import give_verdict
from tests.support.records import Sender, claim, complete, deliver_all, finish, judge_finding, plan, rows, run, scalar

NAMES = ("pacs", "ris", "archive")


@pytest.fixture
def job_id(database: Database) -> int:
    """A reported job whose results wait for a verdict at two of three destinations."""
    Sender(database).send(1)
    complete(database, replace(plan(destinations=NAMES), awaiting_verdict=("pacs", "ris")))
    finish(database, job := claim(database))
    return job.id


def delivery_to(database: Database, destination: str) -> int:
    """Return the number of the only delivery to a destination."""
    return int(str(scalar(database, f"SELECT id FROM deliveries WHERE destination = '{destination}'")))


def states(database: Database) -> dict[object, object]:
    """Return the state of the delivery to each destination."""
    return dict(rows(database, "SELECT destination, state FROM deliveries"))  # type: ignore[arg-type]


def test_what_waits_is_held_and_the_rest_is_sent(database: Database, job_id: int) -> None:
    assert states(database) == {"pacs": "held", "ris": "held", "archive": "pending"}
    held = read_verdicts(database, [job_id])[job_id].held
    assert (held.destinations, held.deliveries) == (["pacs", "ris"], 2)


def test_an_accepted_result_is_released_everywhere(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.ACCEPTED)
    assert set(states(database).values()) == {"pending"}
    with pytest.raises(VerdictRefused, match="does not wait"):
        release_result(database, job_id, actor="admin", cause="command", reason="again")


def test_a_rejected_result_ends_where_no_assessment_goes_and_nobody_has_to_act(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    assert states(database) == {"pacs": "pending", "ris": "given_up", "archive": "pending"}
    ((note,),) = rows(database, "SELECT note FROM deliveries WHERE destination = 'ris'")
    assert note == "rejected by green: nothing of the result is left, and no assessment goes here"
    deliver_all(database)
    assert scalar(database, "SELECT state FROM jobs") == "delivered"
    assert retry_deliveries(database, [delivery_to(database, "ris")], "admin") == []
    ended = rows(database, "SELECT actor, details -> 'destinations' FROM audit_events WHERE action = 'result.given_up'")
    assert ended == [("user:green", ["ris"])]


def test_a_person_releases_a_rejected_result_all_the_same(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    deliver_all(database)
    held = read_verdicts(database, [job_id])[job_id].held
    assert (held.destinations, held.waits) == (["ris"], False)
    assert release_result(database, job_id, actor="admin", cause="command", reason="the ward has been told") == 1
    assert (states(database)["ris"], scalar(database, "SELECT state FROM jobs")) == ("pending", "reported")
    released = rows(database, "SELECT cause, destinations, reason FROM result_releases ORDER BY id")
    assert released == [("verdicts", ["pacs"], ""), ("command", ["ris"], "the ward has been told")]
    events = rows(database, "SELECT actor FROM audit_events WHERE action = 'result.released' ORDER BY id")
    assert events == [("user:green",), ("admin",)]
    with pytest.raises(DBAPIError, match="append-only"):
        run(database, "DELETE FROM result_releases")


def test_a_rejection_that_is_taken_back_releases_the_result(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    deliver_all(database)
    assert scalar(database, "SELECT state FROM jobs") == "delivered"
    judge_finding(database, job_id, VerdictKind.ACCEPTED)
    assert (states(database)["ris"], scalar(database, "SELECT state FROM jobs")) == ("pending", "reported")


def test_a_file_that_retention_has_deleted_is_not_released(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    run(database, "UPDATE reports SET removed_at = node_now()")
    assert release_result(database, job_id, actor="admin", cause="command") == 0
    assert states(database)["ris"] == "given_up"


def test_a_result_of_which_something_is_left_is_held_until_a_person_decides(database: Database) -> None:
    """It has true findings, and would be sent without the clinician's changes."""
    Sender(database).send(1)
    complete(database, replace(plan(destinations=NAMES), awaiting_verdict=("pacs", "ris")))
    finish(database, job := claim(database), findings=2)
    first, second = (int(str(id)) for (id,) in rows(database, "SELECT id FROM findings ORDER BY ordinal"))
    seen_states = []
    for finding, kind, reason in (
        (first, VerdictKind.REJECTED, RejectionReason.OTHER),
        (second, VerdictKind.ACCEPTED, None),
        (second, VerdictKind.REJECTED, RejectionReason.OTHER),
        (second, VerdictKind.ACCEPTED, None),
    ):
        seen = SeenResult(1, database.now(), 1000)
        give_verdict(database, job.id, VerdictDraft(kind, finding, reason), user="green", seen=seen, takes_assessment=["pacs"])
        seen_states.append(rows(database, "SELECT state, note FROM deliveries WHERE destination = 'ris'")[0])
    rejected = ("given_up", "rejected by green: nothing of the result is left, and no assessment goes here")
    assert seen_states == [("held", WAITING_NOTE), ("held", AMENDED_NOTE), rejected, ("held", AMENDED_NOTE)]
    given_up = give_up_deliveries(database, [delivery_to(database, "ris")], actor="cli:ann", reason="not wanted")
    assert len(given_up.named) == 1


def test_a_new_revision_waits_again_and_the_old_result_is_never_sent(database: Database, job_id: int) -> None:
    Sender(database).send(2)
    complete(database, replace(plan(destinations=NAMES), awaiting_verdict=("pacs", "ris")))
    finish(database, job := claim(database))
    found = rows(database, "SELECT job_id, state FROM deliveries WHERE destination = 'pacs' ORDER BY job_id")
    assert found == [(job_id, "withdrawn"), (job.id, "held")]
    with pytest.raises(VerdictRefused, match="newer result"):
        release_result(database, job_id, actor="admin", cause="command")


def test_a_repetition_of_a_released_result_waits_again(database: Database, job_id: int) -> None:
    release_result(database, job_id, actor="admin", cause="command")
    run(database, "UPDATE jobs SET state = 'failed', outcome = 'not_analysed'")
    requeue_jobs(database, [job_id], "admin")
    waiting = rows(database, f"SELECT awaiting_verdict FROM jobs WHERE id <> {job_id}")
    assert [sorted(names) for (names,) in waiting] == [["pacs", "ris"]]  # type: ignore[call-overload]
