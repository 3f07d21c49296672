"""Deliveries that a person gives up: final for the node, refused while they are sent, and sent again where the person erred."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import text

from core.policy.verdicts import VerdictKind
from core.states import JobState, ResultKind
from db.commitment import destination_requests
from db.commitment.destination_reports import ResendPolicy, record_report
from db.deliveries import delivery_leases
from db.deliveries.delivery_admin import retry_deliveries
from db.deliveries.delivery_results import fail_delivery, hold_delivery, record_stored
from db.deliveries.giving_up import GivenUp, PlannedGivingUp, count_undelivered, give_up_deliveries, plan_giving_up, unknown
from db.deliveries.resend import resend
from db.deliveries.resend_plan import ResendSelection, ResendTargets, plan_resend
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.refusal_reasons import delivery_refusals
from db.listings.deliveries import list_deliveries
from db.operations.status import node_status
from tests.db.jobs.test_added_destinations import result_objects
from tests.support.node_process import wait_until
from tests.support.records import (
    Sender,
    claim,
    complete,
    deliver_all,
    delivery_states,
    finish,
    identity,
    job_state,
    judge_finding,
    plan,
    prediction,
    report_study,
    rows,
    run,
    scalar,
    timings,
)

REASON = "the archive is gone"
WAITS_FOR_LOCK = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
TARGETS = ResendTargets({name: frozenset({ResultKind.SR}) for name in ("pacs", "archive")}, frozenset({"pacs", "archive"}))


@pytest.fixture
def reported(database: Database) -> dict[str, int]:
    """A reported job with deliveries to ``pacs`` (failed), ``clinic`` (held) and ``archive`` (sending); their ids."""
    report_study(database, plan(destinations=("pacs", "clinic", "archive")))
    claimed = {one.destination: one for one in delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10)}
    fail_delivery(database, claimed["pacs"], error="SOP class not supported", status=0x0122)
    hold_delivery(database, claimed["clinic"], reason="another patient")
    return {name: one.id for name, one in claimed.items()}


def give_up(database: Database, *ids: int) -> GivenUp:
    return give_up_deliveries(database, ids, actor="cli:ann", reason=REASON)


def refusals(plan: list[PlannedGivingUp]) -> list[str]:
    return [row.refusal for row in plan]


def store_what_is_sending(database: Database) -> None:
    """The sender that was lost comes back: everything is stored."""
    run(database, "UPDATE deliveries SET lease_until = node_now() - interval '1 s' WHERE state = 'sending'")
    delivery_leases.reap_deliveries(database)
    deliver_all(database)


def test_what_failed_or_is_held_is_given_up_and_the_rest_decides_on_the_job(database: Database, reported: dict[str, int]) -> None:
    assert give_up(database, reported["pacs"], reported["clinic"]) == GivenUp((reported["pacs"], reported["clinic"]))
    assert delivery_states(database) == {"pacs": "given_up", "clinic": "given_up", "archive": "sending"}
    assert job_state(database) == JobState.REPORTED
    store_what_is_sending(database)
    assert job_state(database) == JobState.DELIVERED
    assert delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10) == []
    notes = [note for (note,) in rows(database, "SELECT note FROM deliveries WHERE state = 'given_up' ORDER BY destination")]
    assert notes == [f"given up by ann: {REASON} (it was {was})" for was in ("held: another patient", "failed: SOP class not supported")]
    counted = node_status(database).deliveries
    assert (counted["pacs"], counted["clinic"]) == ({"given_up": 1}, {"given_up": 1}), "no failed or held delivery is counted any more"
    audited = rows(database, "SELECT actor, subject, details ->> 'reason' FROM audit_events WHERE action = 'delivery.given_up' ORDER BY id")
    assert audited == [("cli:ann", f"delivery:{reported[name]}", REASON) for name in ("pacs", "clinic")]


def test_a_job_is_delivered_when_its_last_failed_delivery_is_given_up(database: Database, reported: dict[str, int]) -> None:
    store_what_is_sending(database)
    assert job_state(database) == JobState.REPORTED
    give_up(database, reported["pacs"], reported["clinic"])
    assert job_state(database) == JobState.DELIVERED


def test_a_job_of_which_nothing_was_stored_is_not_delivered(database: Database) -> None:
    report_study(database)
    (one,) = delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10)
    fail_delivery(database, one, error="x", status=None)
    give_up(database, one.id)
    assert (delivery_states(database), job_state(database)) == ({"pacs": "given_up"}, JobState.REPORTED)


def test_what_is_sent_or_stored_is_not_given_up_and_the_plan_says_why(database: Database, reported: dict[str, int]) -> None:
    sending = reported["archive"]
    assert refusals(plan_giving_up(database, [sending])) == ["it is being sent now; wait for the end of this attempt"]
    assert give_up(database, sending) == GivenUp()
    assert delivery_states(database)["archive"] == "sending"
    for state, columns, words in (
        ("stored", "", "the destination has it"),
        ("committed", "", "the destination has it"),
        ("withdrawn", ", note = 'superseded'", "it was withdrawn: superseded"),
        ("given_up", "", "it is given up already"),
    ):
        run(database, f"UPDATE deliveries SET state = '{state}', token = NULL, lease_until = NULL{columns} WHERE id = {sending}")
        (refusal,) = refusals(plan_giving_up(database, [sending]))
        assert refusal.startswith(words), (state, refusal)
        assert give_up(database, sending) == GivenUp()
        assert delivery_states(database)["archive"] == state
    run(database, "UPDATE jobs SET state = 'superseded'")
    assert refusals(plan_giving_up(database, [reported["pacs"]])) == ["its result is superseded: the node withdraws it"]
    assert give_up(database, reported["pacs"]) == GivenUp()


def test_what_waits_for_a_destination_that_is_gone_is_given_up(database: Database, reported: dict[str, int]) -> None:
    """To be sent, or for storage commitment, which is asked for without end of a destination that does not answer."""
    sending = reported["archive"]
    for state, commit, was in (("pending", "false", "pending"), ("stored", "true", "stored: commitment waits")):
        note = was.partition(": ")[2]
        run(
            database,
            f"UPDATE deliveries SET state = '{state}', commit_wanted = {commit}, token = NULL, lease_until = NULL, note = '{note}',"
            f" stored_at = CASE WHEN {commit} THEN node_now() END WHERE id = {sending}",
        )
        assert give_up(database, sending) == GivenUp((sending,))
        assert rows(database, f"SELECT state, commit_wanted, note FROM deliveries WHERE id = {sending}") == [
            ("given_up", False, f"given up by ann: {REASON} (it was {was})")
        ]
        assert delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10) == []
    give_up(database, reported["pacs"], reported["clinic"])
    assert job_state(database) == JobState.DELIVERED, "the archive has stored it"
    assert retry_deliveries(database, [sending], "admin") == [sending]
    assert rows(database, f"SELECT state, note FROM deliveries WHERE id = {sending}") == [("pending", "")]


def test_a_destination_is_what_it_has_not_received_or_not_committed_to(database: Database, reported: dict[str, int]) -> None:
    store_what_is_sending(database)
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    complete(database, plan(destinations=("pacs", "archive")), study="1.2.9")
    job = claim(database)
    commit_result(
        database, job, prediction=prediction(), identity=identity(), timings=timings(), objects=result_objects(job, [(ResultKind.SR, "sr")])
    )
    waits = int(str(scalar(database, "SELECT id FROM deliveries WHERE destination = 'pacs' AND state = 'pending'")))
    assert [row.delivery_id for row in plan_giving_up(database, [], "", "pacs")] == [reported["pacs"], waits]
    assert [row.delivery_id for row in plan_giving_up(database, [], "1.2.9", "pacs")] == [waits]
    assert [row.delivery_id for row in plan_giving_up(database, [], "1.2.9")] == [], "what only waits is not swept"
    assert plan_giving_up(database, [], "", "nowhere") == []
    chosen = plan_giving_up(database, [reported["clinic"]], "", "pacs")
    clinic = reported["clinic"]
    assert unknown(database, [clinic], "", chosen, "pacs") == [f"delivery {clinic} is of another study or destination"]
    run(database, "UPDATE deliveries SET commit_wanted = true WHERE state = 'stored'")
    assert [row.delivery_id for row in plan_giving_up(database, [], "1.2.3", "archive")] == [reported["archive"]]


def test_an_attempt_that_began_meanwhile_is_not_stopped(database: Database, reported: dict[str, int]) -> None:
    """The sender locks the delivery, not the job: who gives up waits for it, and looks again."""
    run(database, f"UPDATE deliveries SET state = 'pending', token = NULL, lease_until = NULL WHERE id = {reported['archive']}")
    with ThreadPoolExecutor(1) as pool:
        with database.begin() as connection:
            connection.execute(text(f"SELECT id FROM deliveries WHERE id = {reported['archive']} FOR NO KEY UPDATE"))
            connection.execute(
                text(
                    "UPDATE deliveries SET state = 'sending', token = gen_random_uuid(), lease_until = node_now() + interval '1 h'"
                    f" WHERE id = {reported['archive']}"
                )
            )
            waiting = pool.submit(give_up, database, reported["archive"])
            wait_until("it waits", lambda: waiting.done() or bool(scalar(database, WAITS_FOR_LOCK)), every_s=0.05)
            assert not waiting.done()
        assert waiting.result(600) == GivenUp()
    assert delivery_states(database)["archive"] == "sending"


def test_a_study_is_what_has_failed_or_is_held_of_it(database: Database, reported: dict[str, int]) -> None:
    ids = [reported["pacs"], reported["clinic"]]
    assert [row.delivery_id for row in plan_giving_up(database, [], "1.2.3")] == ids
    assert plan_giving_up(database, [], "1.2.9") == []
    assert [row.delivery_id for row in plan_giving_up(database, [ids[0], 999], "1.2.3")] == [ids[0]]
    assert unknown(database, [ids[0], 999], "1.2.3", plan_giving_up(database, [ids[0]], "1.2.3")) == ["there is no delivery 999"]
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    assert unknown(database, [ids[0]], "1.2.9", []) == [f"delivery {ids[0]} is of another study"]
    assert unknown(database, [ids[0]], "1.2.8", []) == ["there is no study 1.2.8"]
    assert set(delivery_states(database).values()) == {"failed", "held", "sending"}, "a plan changes nothing"


def test_a_person_who_erred_has_it_sent_again(database: Database, reported: dict[str, int]) -> None:
    store_what_is_sending(database)
    give_up(database, reported["pacs"], reported["clinic"])
    assert retry_deliveries(database, [reported["pacs"]], "admin") == [reported["pacs"]]
    assert job_state(database) == JobState.REPORTED
    deliver_all(database)
    assert (delivery_states(database)["pacs"], job_state(database)) == ("stored", JobState.DELIVERED)


def test_a_resend_takes_it_by_its_number_only(database: Database, reported: dict[str, int]) -> None:
    store_what_is_sending(database)
    give_up(database, reported["pacs"], reported["clinic"])
    for whole in (ResendSelection(study="1.2.3"), ResendSelection(jobs=(int(str(scalar(database, "SELECT id FROM jobs"))),))):
        assert [row.destination for row in plan_resend(database, whole, TARGETS)] == ["archive"]
    (kept_back,) = plan_resend(database, ResendSelection(study="1.2.3", to="pacs"), TARGETS)
    assert kept_back.refusal.endswith(f"`deliveries retry {reported['pacs']}` sends it")
    one = ResendSelection(deliveries=(reported["pacs"],))
    assert resend(database, one, TARGETS, actor="cli:ann", reason="it is back").all == [reported["pacs"]]
    assert job_state(database) == JobState.REPORTED
    deliver_all(database)
    assert (delivery_states(database)["pacs"], job_state(database)) == ("stored", JobState.DELIVERED)


def test_a_file_that_retention_has_deleted_is_not_sent_again(database: Database, reported: dict[str, int]) -> None:
    give_up(database, reported["pacs"])
    run(database, "UPDATE reports SET removed_at = node_now()")
    assert retry_deliveries(database, [reported["pacs"]], "admin") == []
    (reason,) = delivery_refusals(database, [reported["pacs"]], [])
    assert reason.startswith("retention has deleted the file of delivery")


def test_a_late_commitment_report_does_not_count(database: Database) -> None:
    report_study(database)
    deliver_all(database, commit=True)
    assert destination_requests.create_request(database, "pacs", dwell_s=0)
    request = destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=1)
    assert request is not None
    run(database, "UPDATE commitment_requests SET next_attempt_at = node_now() - interval '1 s'")
    assert destination_requests.claim_request(database, "pacs", lease_s=60, max_attempts=1) is None
    (failed,) = list_deliveries(database, state="failed")
    give_up(database, failed["delivery_id"])
    assert rows(database, "SELECT state, commit_wanted, commitment_id FROM deliveries") == [("given_up", False, None)]
    uids = [uid for _, uid in request.instances]
    policy = ResendPolicy(3, 1.0, 900.0)
    record_report(database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=uids, failed={}, policy=policy)
    record_report(
        database, destinations=["pacs"], transaction_uid=request.transaction_uid, committed=[], failed={uids[0]: "x"}, policy=policy
    )
    assert delivery_states(database) == {"pacs": "given_up"}
    assert job_state(database) == JobState.DELIVERED, "the destination has stored it"


def waiting_objects(database: Database) -> None:
    """Add an assessment and a rejection of the older result, both for ``pacs``; they wait for the report."""
    for kind in ("assessment", "rejection"):
        run(
            database,
            f"""INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes)
                SELECT job_id, '{kind}', '{kind}', sop_class_uid, sop_instance_uid || '.{len(kind)}', series_instance_uid,
                       sha256, size_bytes
                FROM reports WHERE kind = 'sr'""",
        )
    run(
        database,
        """INSERT INTO deliveries (job_id, report_id, destination, priority, state)
           SELECT job_id, id, 'pacs', 'routine', 'pending' FROM reports WHERE kind IN ('assessment', 'rejection') ORDER BY id""",
    )


def test_what_waits_for_a_report_is_given_up_with_it(database: Database, reported: dict[str, int]) -> None:
    """Without the report nobody could read an assessment, and a rejection would leave the study without a result."""
    store_what_is_sending(database)
    give_up(database, reported["clinic"])
    waiting_objects(database)
    assert delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10) == []
    actions = [(row.object, row.action) for row in plan_giving_up(database, [reported["pacs"]])]
    waits = "give up: it waits for the report"
    assert actions == [("sr", "give up"), ("assessment", waits), ("rejection", waits)]
    done = give_up(database, reported["pacs"])
    assert (done.named, len(done.waiting)) == ((reported["pacs"],), 2)
    assert str(done) == "1 delivery is given up, and 2 that waited for the report"
    of_pacs = rows(database, "SELECT r.kind, d.state FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE destination = 'pacs'")
    assert sorted(of_pacs) == [("assessment", "given_up"), ("rejection", "given_up"), ("sr", "given_up")]
    assert job_state(database) == JobState.DELIVERED
    every = [row["delivery_id"] for row in list_deliveries(database, destination="pacs")]
    assert len(retry_deliveries(database, every, "admin")) == 3
    order = []
    while claimed := delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=1):
        order.append(claimed[0].kind)
        record_stored(database, claimed[0], status=0)
    assert order == ["sr", "assessment", "rejection"]


def test_what_refers_to_a_report_that_the_destination_had_stored_is_sent(database: Database) -> None:
    """It refused the report when it was sent again, or did not commit to it: it has it all the same."""
    report_study(database)
    deliver_all(database)
    waiting_objects(database)
    report = int(str(scalar(database, "SELECT min(id) FROM deliveries")))
    run(database, f"UPDATE deliveries SET state = 'held' WHERE id = {report}; UPDATE jobs SET state = 'reported'")
    assert delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10) == []
    assert give_up(database, report) == GivenUp((report,))
    deliver_all(database)
    assert rows(database, "SELECT state FROM deliveries ORDER BY id") == [("given_up",), ("stored",), ("stored",)]
    assert job_state(database) == JobState.DELIVERED


def test_a_report_does_not_wait_for_an_object_that_is_given_up(database: Database) -> None:
    """The report without other objects is sent, as where the destination has refused the object."""
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    made = result_objects(job, [(ResultKind.SEG, "seg"), (ResultKind.SR, "sr+seg"), (ResultKind.SR, "sr")])
    kept = (*made[:2], replace(made[2], destinations=()))
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=kept, timings=timings())
    (seg,) = delivery_leases.claim_deliveries(database, sender="s1", lease_s=60, limit=10)
    fail_delivery(database, seg, error="not supported", status=0x0122)
    give_up(database, seg.id)
    assert job_state(database) == JobState.REPORTED
    delivery_leases.reap_deliveries(database)
    deliver_all(database)
    profiles = "SELECT r.profile, d.state FROM deliveries d JOIN reports r ON r.id = d.report_id ORDER BY d.id"
    assert rows(database, profiles) == [("seg", "given_up"), ("sr+seg", "withdrawn"), ("sr", "stored")]
    assert job_state(database) == JobState.DELIVERED


def test_what_waits_for_a_verdict_is_given_up_by_its_number_and_is_not_sent_without_a_release(
    database: Database, reported: dict[str, int]
) -> None:
    """The destination may be gone. Who takes that back cannot bypass the clinician."""
    held = reported["clinic"]
    run(database, "UPDATE jobs SET awaiting_verdict = '{clinic}'")
    run(database, f"UPDATE deliveries SET awaiting_verdict = true, note = 'waits' WHERE id = {held}")
    (failed, waits) = plan_giving_up(database, [], "1.2.3")
    assert (failed.refusal, waits.refusal[:38]) == ("", "it waits for a clinician's verdict; by")
    assert give_up(database, held) == GivenUp((held,))
    assert retry_deliveries(database, [held], "admin") == []
    assert "waits for a clinician's verdict" in delivery_refusals(database, [held], [])[0]
    targets = ResendTargets({"clinic": frozenset({ResultKind.SR})}, frozenset({"clinic"}))
    (kept_back,) = plan_resend(database, ResendSelection(deliveries=(held,)), targets)
    assert kept_back.refusal == "the result waits for a clinician's verdict"
    judge_finding(database, int(str(scalar(database, "SELECT id FROM jobs"))), VerdictKind.ACCEPTED)
    assert delivery_states(database)["clinic"] == "given_up", "a person has decided so"
    assert retry_deliveries(database, [held], "admin") == [held]


def test_an_assessment_that_waits_for_a_verdict_is_given_up_with_its_report(database: Database, reported: dict[str, int]) -> None:
    waiting_objects(database)
    run(database, "UPDATE deliveries SET state = 'held', awaiting_verdict = true WHERE destination = 'pacs'")
    done = give_up(database, reported["pacs"])
    assert (done.named, len(done.waiting)) == ((reported["pacs"],), 2)


def test_what_is_counted_for_a_destination_is_what_its_plan_gives_up(database: Database, reported: dict[str, int]) -> None:
    waiting_objects(database)
    stored = "state = 'stored', stored_at = node_now(), commit_wanted = true, token = NULL, lease_until = NULL"
    run(database, f"UPDATE deliveries SET {stored} WHERE destination = 'archive'")
    report_study_of(database, "1.2.4")
    counted = count_undelivered(database)
    assert {name: found.number for name, found in counted.items()} == {"pacs": 4, "clinic": 1, "archive": 1}
    for name, found in counted.items():
        planned = [row.delivery_id for row in plan_giving_up(database, [], destination=name) if not row.refusal]
        assert (found.number, found.last) == (len(planned), max(planned)), name
    run(database, "UPDATE jobs SET state = 'superseded'")
    assert count_undelivered(database) == {}, "the node withdraws them"


def report_study_of(database: Database, study: str) -> None:
    """Receive and analyse a second study, whose report waits for ``pacs``."""
    Sender(database).send(1, study=study, series=f"{study}.1")
    complete(database, plan(), study=study)
    finish(database, claim(database))
