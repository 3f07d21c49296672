"""What a person has sent again: planned without a change, sent to the same or another destination, refused with the reason, audited."""

from dataclasses import replace
from datetime import timedelta

import pytest

from core.states import JobState, ResultKind
from db.bulk.row_range import RowRange
from db.commitment import destination_reports, destination_requests
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.deliveries.resend import resend
from db.deliveries.resend_plan import PlannedSending, ResendSelection, ResendTargets, plan_resend, unselected
from db.engine import Database
from db.jobs.claim import claim_jobs
from db.jobs.finish import commit_result
from tests.db.jobs.test_added_destinations import result_objects
from tests.support.records import Sender, claim, complete, deliver_all, finish, identity, plan, prediction, rows, run, scalar, timings

SR, SEG, PDF = ResultKind.SR, ResultKind.SEG, ResultKind.PDF
TARGETS = ResendTargets(
    {"pacs": frozenset({SR, SEG}), "later": frozenset({SR, PDF}), "clinic": frozenset({SR})}, frozenset({"pacs", "later"})
)


@pytest.fixture
def delivered(database: Database) -> int:
    """A delivered job: a segmentation, a PDF, and reports that name them or nothing, all sent to ``pacs``; its id."""
    Sender(database).send(1)
    (job_id,) = complete(database, plan()) or []
    job = claim(database)
    made = result_objects(job, [(SEG, "seg"), (PDF, "pdf"), (SR, "sr+seg"), (SR, "sr")])
    objects = (made[0], replace(made[1], destinations=()), made[2], replace(made[3], destinations=()))
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=objects, timings=timings())
    deliver_all(database)
    assert job_state(database) == JobState.DELIVERED
    return job_id


def job_state(database: Database) -> str:
    return str(scalar(database, "SELECT state FROM jobs ORDER BY id LIMIT 1"))


def actions(found: list[PlannedSending]) -> list[tuple[str, str, str]]:
    return [(row.object, row.destination, row.action) for row in found]


def send_again(database: Database, selection: ResendSelection) -> list[int]:
    return resend(database, selection, TARGETS, actor="cli:ann", reason="the archive lost it").all


def test_a_plan_changes_nothing(database: Database, delivered: int) -> None:
    before = rows(database, "SELECT id, state, changed_at FROM deliveries ORDER BY id")
    found = plan_resend(database, ResendSelection(study="1.2.3"), TARGETS)
    assert actions(found) == [("seg", "pacs", "send again"), ("sr", "pacs", "send again")]
    assert [row.accession_number for row in found] == ["A1", "A1"]
    assert rows(database, "SELECT id, state, changed_at FROM deliveries ORDER BY id") == before


def test_stored_objects_are_sent_again_in_their_order(database: Database, delivered: int) -> None:
    done = send_again(database, ResendSelection(study="1.2.3"))
    assert len(done) == 2
    assert job_state(database) == JobState.REPORTED
    first = delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10)
    assert [delivery.kind for delivery in first] == ["seg"]  # the report that names it waits for it, as the first time
    record_stored(database, first[0], status=0)
    deliver_all(database)
    assert job_state(database) == JobState.DELIVERED
    ((actor, reason, destinations),) = rows(
        database, "SELECT actor, details ->> 'reason', details ->> 'destinations' FROM audit_events WHERE action = 'job.resent'"
    )
    assert (actor, reason, destinations) == ("cli:ann", "the archive lost it", '["pacs"]')


def test_by_number_and_by_time(database: Database, delivered: int) -> None:
    now = database.now()
    ids = [row.delivery_id for row in plan_resend(database, ResendSelection(jobs=(delivered,)), TARGETS)]
    assert None not in ids
    (one,) = plan_resend(database, ResendSelection(deliveries=(int(ids[0] or 0),)), TARGETS)
    assert one.object == "seg"
    assert plan_resend(database, ResendSelection(since=now + timedelta(hours=1)), TARGETS) == []
    assert plan_resend(database, ResendSelection(until=now - timedelta(hours=1)), TARGETS) == []
    assert len(plan_resend(database, ResendSelection(since=now - timedelta(hours=1)), TARGETS)) == 2
    absent = ResendSelection(deliveries=(999,))
    assert unselected(database, absent, plan_resend(database, absent, TARGETS)) == ["there is no delivery 999"]


def test_of_one_destination_and_in_parts(database: Database, delivered: int) -> None:
    """A part has whole results."""
    sent = ResendSelection(since=database.now() - timedelta(hours=1))
    assert len(plan_resend(database, replace(sent, destination="pacs"), TARGETS)) == 2
    assert plan_resend(database, replace(sent, destination="later"), TARGETS) == []
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    (second,) = complete(database, plan(destinations=("pacs", "clinic")), study="1.2.9") or []
    finish(database, claim(database))
    deliver_all(database)

    def jobs(selection: ResendSelection, part: RowRange) -> list[int]:
        return [row.job_id for row in plan_resend(database, selection, TARGETS, part)]

    assert jobs(sent, RowRange(limit=1)) == [delivered, delivered]
    assert jobs(sent, RowRange(after=delivered, limit=1)) == [second, second]
    assert jobs(replace(sent, destination="clinic"), RowRange()) == [second]
    for selection in (sent, replace(sent, to="later")):
        assert set(jobs(selection, RowRange(last=delivered))) == {delivered}
        assert set(jobs(selection, RowRange(limit=1))) == {delivered}


def test_a_destination_added_later_receives_existing_results_once(database: Database, delivered: int) -> None:
    since = ResendSelection(since=database.now() - timedelta(hours=1), to="later", missing=True)
    assert actions(plan_resend(database, since, TARGETS)) == [("pdf", "later", "send"), ("sr", "later", "send")]
    assert len(send_again(database, since)) == 2
    assert scalar(database, "SELECT array_to_string(destinations, ',') FROM jobs") == "pacs,later"
    deliver_all(database)
    assert [action for _, _, action in actions(plan_resend(database, since, TARGETS))] == ["not sent: the destination has it"] * 2
    assert send_again(database, since) == []
    again = replace(since, missing=False)  # without --missing everything is sent again
    assert [action for _, _, action in actions(plan_resend(database, again, TARGETS))] == ["send again"] * 2
    profile = "SELECT r.profile FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.destination = 'later' AND r.kind = 'sr'"
    assert scalar(database, profile) == "sr"  # not the report that names the segmentation, which this destination does not take


def test_refusals_say_why(database: Database, delivered: int) -> None:
    whole = ResendSelection(jobs=(delivered,))
    assert "accept_research" in plan_resend(database, replace(whole, to="clinic"), TARGETS)[0].refusal
    assert "no destination is named 'nowhere'" in plan_resend(database, replace(whole, to="nowhere"), TARGETS)[0].refusal
    run(database, "UPDATE reports SET removed_at = node_now() WHERE kind = 'seg'")
    found = plan_resend(database, whole, TARGETS)
    assert "retention has deleted the file" in found[0].refusal
    assert found[1].refusal == ""
    run(database, "UPDATE jobs SET awaiting_verdict = '{pacs}'")
    assert "verdict" in plan_resend(database, replace(whole, to="later"), TARGETS)[0].refusal
    run(database, "UPDATE jobs SET awaiting_verdict = '{}', state = 'superseded'")
    ((last,),) = rows(database, "SELECT max(id) FROM deliveries")
    explicit = ResendSelection(deliveries=(last,))
    assert plan_resend(database, explicit, TARGETS)[0].refusal == "its result is superseded"
    assert send_again(database, explicit) == []
    assert plan_resend(database, ResendSelection(study="1.2.3"), TARGETS) == []


def test_a_late_commitment_report_on_the_first_sending_does_not_count_for_the_second(database: Database, delivered: int) -> None:
    run(database, "UPDATE deliveries SET commit_wanted = true")
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=3)
    assert request is not None
    uids = [uid for _, uid in request.instances]

    def report() -> None:
        policy = destination_reports.ResendPolicy(3, 1.0, 900.0)
        destination_reports.record_report(
            database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=uids, failed={}, policy=policy
        )

    report()
    assert {state for (state,) in rows(database, "SELECT state FROM deliveries")} == {"committed"}
    assert len(send_again(database, ResendSelection(study="1.2.3"))) == 2  # committed objects too
    deliver_all(database, commit=True)
    report()
    assert {state for (state,) in rows(database, "SELECT state FROM deliveries")} == {"stored"}
    assert job_state(database) == JobState.REPORTED


def test_a_new_result_names_what_the_destination_has_stored_while_it_is_sent_again(database: Database, delivered: int) -> None:
    send_again(database, ResendSelection(study="1.2.3"))
    Sender(database).send(2)
    complete(database, plan())
    (job,) = claim_jobs(database, worker="w1", priorities=None, models=None, lease_s=60)
    assert set(job.predecessors) == {"pacs"}
    assert [item.kind for item in job.outdated] == ["seg"]
