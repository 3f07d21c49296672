"""Release of results that wait for a verdict: by verdicts, by a person, and once; what is amended goes only where the assessment goes."""

from dataclasses import replace

import pytest
from sqlalchemy.exc import DBAPIError

from core.policy.verdicts import RejectionReason, VerdictKind, VerdictRefused
from db.engine import Database
from db.jobs.job_admin import requeue_jobs
from db.verdicts.releases import release_result
from db.verdicts.result_verdicts import read_verdicts
from tests.support.records import Sender, claim, complete, finish, judge_finding, plan, rows, run

NAMES = ("pacs", "ris", "archive")


@pytest.fixture
def job_id(database: Database) -> int:
    """A reported job whose results wait for a verdict at two of three destinations."""
    Sender(database).send(1)
    complete(database, replace(plan(destinations=NAMES), awaiting_verdict=("pacs", "ris")))
    finish(database, job := claim(database))
    return job.id


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


def test_a_rejected_result_goes_on_waiting_where_no_assessment_goes_until_a_person_releases_it(database: Database, job_id: int) -> None:
    judge_finding(database, job_id, VerdictKind.REJECTED, RejectionReason.OTHER)
    assert states(database) == {"pacs": "pending", "ris": "held", "archive": "pending"}
    assert release_result(database, job_id, actor="admin", cause="command", reason="the ward has been told") == 1
    assert states(database)["ris"] == "pending"
    released = rows(database, "SELECT cause, destinations, reason FROM result_releases ORDER BY id")
    assert released == [("verdicts", ["pacs"], ""), ("command", ["ris"], "the ward has been told")]
    events = rows(database, "SELECT actor FROM audit_events WHERE action = 'result.released' ORDER BY id")
    assert events == [("user:green",), ("admin",)]
    with pytest.raises(DBAPIError, match="append-only"):
        run(database, "DELETE FROM result_releases")


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
