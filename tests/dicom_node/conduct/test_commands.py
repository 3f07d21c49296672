"""Commands of people: the role that owns a kind carries it out and answers, also where it cannot."""

import threading
from pathlib import Path
from typing import Any

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from db.operations.command_kinds import COMMANDS, CommandKind
from db.operations.pauses import list_pauses
from db.roles import commands
from db.roles.command_runner import CommandRunner, Handler
from dicom_node.conduct.commands import command_handlers
from dicom_node.deliver.commands import DestinationCommands
from dicom_node.receive import listen_role
from models import registry
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar

ROUTE = {"name": "chest CT", "model": "lung_nodule_ct", "destinations": ["share"], "when": {"Modality": "CT"}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"node": {"data_dir": tmp_path}, "routes": [ROUTE], "destinations": [{"name": "share", "folder": tmp_path}]}
    )


@pytest.fixture
def owners(settings: Settings, database: Database) -> dict[str, dict[str, Handler]]:
    """The handlers of each role."""
    return {
        "conduct": dict(command_handlers(settings, database)),
        "send": dict(DestinationCommands(settings, database).handlers()),
        "listen": dict(listen_role.command_handlers(settings, database, Blobs(settings.blobs_dir))),
    }


@pytest.fixture
def ask(database: Database, owners: dict[str, dict[str, Handler]]) -> Any:
    """Ask for a command and have it carried out by the role that owns it; returns (state, answer)."""

    def carry_out(kind: CommandKind, subject: object, **args: str) -> tuple[str, str]:
        id = commands.enqueue_command(database, kind, {"subject": str(subject), "reason": "a test", **args}, "user:ann")
        role = COMMANDS[kind].role
        assert CommandRunner(role, database, owners[role], threading.Event()).run_next() == 0.0
        found = commands.show_command(database, id)
        assert found is not None
        return found["state"], found["result"]["answer"]

    return carry_out


def test_every_kind_has_one_owner(owners: dict[str, dict[str, Handler]]) -> None:
    assert {kind: rule.role for kind, rule in COMMANDS.items()} == {kind: role for role, kinds in owners.items() for kind in kinds}


def test_jobs_are_requeued_and_cancelled_once(database: Database, ask: Any) -> None:
    Sender(database).send(1)
    (job,) = complete(database, plan()) or []
    run(database, "UPDATE jobs SET state = 'quarantined'")
    assert ask(CommandKind.JOB_REQUEUE, job) == ("done", f"job {job} is queued again")
    assert ask(CommandKind.JOB_REQUEUE, job) == ("failed", f"job {job} is queued")
    assert ask(CommandKind.JOB_CANCEL, job) == ("done", f"job {job} is cancelled")
    assert ask(CommandKind.JOB_CANCEL, 999) == ("failed", "there is no job 999")
    assert ask(CommandKind.JOB_CANCEL, "x")[0] == "failed"
    events = rows(database, "SELECT actor, action FROM audit_events WHERE subject LIKE 'job:%' AND actor LIKE 'user:%' ORDER BY id")
    assert events == [("user:ann", "job.requeued"), ("user:ann", "job.cancelled")]
    assert scalar(database, "SELECT details ->> 'reason' FROM audit_events WHERE action = 'command.asked' LIMIT 1") == "a test"


def test_routes_and_destinations_are_paused_and_resumed(database: Database, ask: Any) -> None:
    assert ask(CommandKind.ROUTE_PAUSE, "no such route")[0] == "failed"
    assert ask(CommandKind.ROUTE_PAUSE, "chest CT")[0] == "done"
    assert ask(CommandKind.ROUTE_PAUSE, "chest CT") == ("failed", "route 'chest CT' is paused already")
    assert ask(CommandKind.DESTINATION_PAUSE, "share")[0] == "done"
    found = [(one.name, one.reason, one.actor) for one in list_pauses(database)]
    assert found == [("share", "a test", "user:ann"), ("chest CT", "a test", "user:ann")]
    assert ask(CommandKind.ROUTE_RESUME, "chest CT")[0] == "done"
    assert ask(CommandKind.DESTINATION_RESUME, "share")[0] == "done"
    assert ask(CommandKind.DESTINATION_RESUME, "share")[0] == "failed"
    assert list_pauses(database) == ()


def test_a_destination_is_tested_and_the_answer_is_kept(ask: Any) -> None:
    state, answer = ask(CommandKind.DESTINATION_ECHO, "share")
    assert (state, answer.startswith("share: ")) == ("done", True)
    assert ask(CommandKind.DESTINATION_ECHO, "elsewhere")[0] == "failed"


def test_rows_that_do_not_exist_are_answered(ask: Any) -> None:
    assert ask(CommandKind.DELIVERY_RETRY, 7) == ("failed", "there is no delivery 7")
    assert ask(CommandKind.DELIVERY_GIVE_UP, 7) == ("failed", "there is no delivery 7")
    assert ask(CommandKind.COMMITMENT_RETRY, 7) == ("failed", "there is no report 7")
    assert ask(CommandKind.COMMITMENT_GIVE_UP, 7) == ("failed", "there is no report 7")
    assert ask(CommandKind.NOTIFICATION_RETRY, 7) == ("failed", "no webhook is configured (set webhook.url)")
    assert ask(CommandKind.UNIT_REQUEUE, 7) == ("failed", "there is no unit 7")
    assert ask(CommandKind.QUARANTINE_REQUEUE, 7)[0] == "failed"


def test_results_are_sent_and_run_again(database: Database, ask: Any) -> None:
    Sender(database).send(1)
    (job,) = complete(database, plan(destinations=("share",))) or []
    assert ask(CommandKind.DELIVERY_RESEND, job) == ("failed", "nothing was changed")
    finish(database, claim(database))
    assert ask(CommandKind.DELIVERY_RESEND, job)[0] == "failed"
    run(database, "UPDATE deliveries SET state = 'stored'")
    state, answer = ask(CommandKind.DELIVERY_RESEND, job)
    assert (state, "accept_research = false" in answer) == ("failed", True)
    run(database, """UPDATE jobs SET identity = '{"status": "clinical"}'""")
    assert ask(CommandKind.DELIVERY_RESEND, job) == ("done", "1 object is sent again")
    assert ask(CommandKind.DELIVERY_RESEND, "3 objects", jobs="1,x")[0] == "failed"
    assert ask(CommandKind.JOB_RERUN, job, to="nowhere")[0] == "failed"
    assert ask(CommandKind.JOB_RERUN, job) == ("done", f"job {job + 1} is queued")
    assert ask(CommandKind.JOB_RERUN, job) == ("failed", f"it is superseded by job {job + 1}")


def test_a_delivery_is_given_up_unless_it_is_sent_now(database: Database, ask: Any) -> None:
    Sender(database).send(1)
    complete(database, plan(destinations=("share",)))
    finish(database, claim(database))
    id = scalar(database, "SELECT id FROM deliveries")
    run(database, "UPDATE deliveries SET state = 'sending', token = gen_random_uuid(), lease_until = node_now() + interval '1 h'")
    assert ask(CommandKind.DELIVERY_GIVE_UP, id) == ("failed", "it is being sent now; wait for the end of this attempt")
    run(database, "UPDATE deliveries SET state = 'held', token = NULL, lease_until = NULL")
    assert ask(CommandKind.DELIVERY_GIVE_UP, "2 deliveries", deliveries=f"{id},999") == ("done", "1 delivery is given up")
    assert scalar(database, "SELECT note FROM deliveries") == "given up by ann: a test (it was held)"


def test_what_waits_for_a_destination_is_given_up_as_it_was_counted(database: Database, ask: Any) -> None:
    """The destination need not be configured, and what came after the count waits on."""
    for number in (1, 2):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, plan(destinations=("share", "gone")), study=f"1.2.{number}")
        finish(database, claim(database))
    first, second = (int(str(id)) for (id,) in rows(database, "SELECT id FROM deliveries WHERE destination = 'gone' ORDER BY id"))
    assert ask(CommandKind.DESTINATION_GIVE_UP, "gone", last=str(first)) == ("done", "gone: 1 delivery is given up")
    of_gone = "SELECT state, note FROM deliveries WHERE destination = 'gone' ORDER BY id"
    assert rows(database, of_gone) == [("given_up", "given up by ann: a test (it was pending)"), ("pending", "")]
    assert ask(CommandKind.DESTINATION_GIVE_UP, "gone", last=str(first))[0] == "failed"
    assert ask(CommandKind.DESTINATION_GIVE_UP, "gone", last="x")[0] == "failed"
    assert ask(CommandKind.DESTINATION_GIVE_UP, "") == ("failed", "the command names no destination")
    assert ask(CommandKind.DESTINATION_GIVE_UP, "gone") == ("done", "gone: 1 delivery is given up")
    assert ask(CommandKind.DESTINATION_GIVE_UP, "gone")[1].startswith("nothing waits for 'gone'")
    assert scalar(database, "SELECT count(*) FROM deliveries WHERE destination = 'share' AND state = 'pending'") == 2
    given_up = rows(database, "SELECT actor, subject FROM audit_events WHERE action = 'delivery.given_up' ORDER BY id")
    assert given_up == [("user:ann", f"delivery:{first}"), ("user:ann", f"delivery:{second}")]


def test_a_commitment_report_is_given_up_and_sent_again(database: Database, ask: Any) -> None:
    pair = [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]
    id = source_requests.record_source_request(database, source="PACS", transaction_uid="2.25.7", instances=pair, reserve_s=0)
    assert ask(CommandKind.COMMITMENT_GIVE_UP, id) == ("failed", f"report {id} is still to be sent")
    run(database, "UPDATE source_commitment_requests SET state = 'failed', note = 'refused'")
    assert ask(CommandKind.COMMITMENT_GIVE_UP, id) == ("done", f"report {id} is given up")
    assert scalar(database, "SELECT note FROM source_commitment_requests") == "given up by ann: a test (it was failed: refused)"
    assert ask(CommandKind.COMMITMENT_RETRY, id) == ("done", f"report {id} is sent again")


def test_versions_of_models_are_activated_and_refused_with_the_reason(database: Database, ask: Any) -> None:
    digest = registry.pipeline_digest("lung_nodule_ct")
    assert ask(CommandKind.MODEL_SHADOW, "lung_nodule_ct", version=digest)[0] == "done"
    assert ask(CommandKind.MODEL_ACTIVATE, "lung_nodule_ct", version=digest)[0] == "done"
    assert ask(CommandKind.MODEL_ACTIVATE, "lung_nodule_ct", version=digest)[0] == "failed"
    assert "activate another version first" in ask(CommandKind.MODEL_SHADOW, "lung_nodule_ct", version=digest)[1]
    assert "no version of lung_nodule_ct was active before" in ask(CommandKind.MODEL_ROLLBACK, "lung_nodule_ct")[1]
    assert ask(CommandKind.MODEL_ACTIVATE, "no_such_model", version=digest)[0] == "failed"
    assert scalar(database, "SELECT state FROM models") == "active"


def test_a_running_role_answers_a_command_that_was_asked_for_before_it_started(database: Database) -> None:
    id = commands.enqueue_command(database, CommandKind.DESTINATION_ECHO, {"subject": "share"}, "user:ann")
    answered = threading.Event()

    def answer(command: commands.ClaimedCommand) -> str:
        answered.set()
        return f"seen {command.args['subject']}"

    with CommandRunner("send", database, {CommandKind.DESTINATION_ECHO: answer}, threading.Event()):
        assert answered.wait(600)
    shown = commands.show_command(database, id)
    assert shown is not None
    assert (shown["state"], shown["result"]) == ("done", {"answer": "seen share"})
