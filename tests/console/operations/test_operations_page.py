"""The operations page over real HTTP: what needs a person is listed, and each action is a command that the owning role answers."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.policy.verdicts import AMENDED_NOTE, WAITING_NOTE
from core.settings.settings import Settings
from db import audit
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from db.operations.alerts import begin_alert
from db.operations.command_kinds import COMMANDS, CommandKind
from db.operations.status import UNREACHABLE
from db.roles import heartbeats
from db.roles.command_runner import CommandRunner
from dicom_node.conduct.commands import command_handlers
from dicom_node.deliver.commands import DestinationCommands
from dicom_node.notify.webhook import WebhookPoster
from dicom_node.receive import listen_role
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar
from tests.support.series import encoded, image
from tests.support.webhook_server import webhook_server

ROUTE = {"name": "chest CT", "model": "lung_nodule_ct", "destinations": ["pacs"], "when": {"Modality": "CT", "BodyPartExamined": "CHEST"}}


@pytest.fixture(scope="module")
def database(module_database: Database) -> Database:
    """One database for all tests of this file: each works on rows of its own."""
    return module_database


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("operations")


@pytest.fixture(scope="module")
def sections(folder: Path) -> dict[str, Any]:
    return {"routes": [ROUTE], "destinations": [{"name": "pacs", "folder": folder}]}


@pytest.fixture(scope="module")
def carry_out(database: Database, folder: Path, sections: dict[str, Any]) -> Any:
    """Have a waiting command carried out by the role that owns its kind."""
    settings = Settings.model_validate({"node": {"data_dir": folder}, **sections})

    def runner(kind: str) -> None:
        owners = {
            "conduct": lambda: command_handlers(settings, database),
            "send": lambda: DestinationCommands(settings, database).handlers(),
            "listen": lambda: listen_role.command_handlers(settings, database, Blobs(settings.blobs_dir)),
        }
        role = COMMANDS[CommandKind(kind)].role
        CommandRunner(role, database, owners[role](), threading.Event()).run_next()

    return runner


@pytest.fixture(scope="module")
def signed_in(database: Database, folder: Path, sections: dict[str, Any]) -> Iterator[Browser]:
    """An operator, on a quarantined job, a queued job, a held delivery and a unit that no route took."""
    for number in (1, 2, 3, 4):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
    complete(database, plan(), study="1.2.1")
    finish(database, claim(database))
    run(database, "UPDATE deliveries SET state = 'held', note = 'another patient'")
    complete(database, plan(), study="1.2.2")
    run(database, "UPDATE jobs SET state = 'quarantined', reason = 'out of memory' WHERE state = 'queued'")
    complete(database, plan(), study="1.2.3")
    complete(database, study="1.2.4", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    heartbeats.record_heartbeat(database, "send", "ward:7", {"stored": "12", f"{UNREACHABLE}pacs": "75"})
    heartbeats.record_heartbeat(database, "worker", "gpu1:9", {"device": "cuda:0", "models": "lung_nodule_ct"})
    details = {"calling_ae": "STRANGER", "address": "10.0.0.9", "reason": "calling AE title is not configured", "repeated": 4}
    audit.record_now(database, actor="listen", action="association.refused", subject="association:STRANGER", details=details)
    add_users(database)
    with RunningConsole(database, folder, **sections) as console, console.browser() as browser:
        browser.sign_in("operator", next="/operations")
        yield browser


@pytest.fixture
def browser(signed_in: Browser, database: Database) -> Browser:
    """The operator, without commands of earlier tests."""
    run(database, "DELETE FROM commands")
    return signed_in


def _id(database: Database, query: str) -> int:
    return int(str(scalar(database, query)))


def test_the_page_shows_what_needs_a_person_and_the_state_of_the_node(browser: Browser) -> None:
    page = browser.get("/operations").text
    for shown in (
        *("out of memory", "another patient", "no route takes it", "Requeue", "Release", "Give up", "Route again", "Cancel"),
        *("cuda:0", "unreachable", "1 min 15 s", "STRANGER", "calling AE title is not configured"),
        *("If Modality is CT and Body Part Examined is CHEST, analyse with lung_nodule_ct and send the result to pacs.", "C-ECHO"),
    ):
        assert shown in page, shown
    assert '<td data-label="Times" class="number">5</td>' in page, "the refused association was repeated four times"


def test_every_row_leads_to_its_study(browser: Browser, database: Database) -> None:
    page = browser.get("/operations").text
    found = {int(number) for number in re.findall(r'href="/studies/(\d+)"', page)}
    known = {int(str(id)) for (id,) in rows(database, "SELECT id FROM studies")}
    assert found == known, "of a delivery, a failed and a queued job, and a unit"


def test_an_action_that_cannot_succeed_is_not_offered(browser: Browser, database: Database) -> None:
    """A clinician decides on what waits for a verdict, and a unit whose images were deleted cannot be routed again."""
    run(database, "UPDATE deliveries SET note = '{}'".format(WAITING_NOTE.replace("'", "''")))
    run(database, "UPDATE instances SET removed_at = node_now() WHERE unit_id = (SELECT id FROM units WHERE reason <> '')")
    page = browser.get("/operations").text
    run(database, f"UPDATE deliveries SET note = '{AMENDED_NOTE}'")
    amended = browser.get("/operations").text
    run(database, "UPDATE deliveries SET note = 'another patient'")
    run(database, "UPDATE instances SET removed_at = NULL")
    assert "a clinician judges or releases the result" in page
    assert "retention has deleted its images" in page
    assert 'value="delivery.retry"' not in page
    assert 'value="delivery.give_up"' not in page
    assert "a clinician releases the result" in amended
    assert 'value="delivery.retry"' not in amended
    assert 'value="delivery.give_up"' in amended
    assert 'value="unit.requeue"' not in page


@pytest.mark.parametrize(
    ("kind", "query", "state"),
    [
        ("job.requeue", "SELECT id FROM jobs WHERE reason = 'out of memory'", "SELECT state FROM jobs WHERE id = {}"),
        ("delivery.give_up", "SELECT id FROM deliveries", "SELECT state FROM deliveries WHERE id = {}"),
        ("delivery.retry", "SELECT id FROM deliveries", "SELECT state FROM deliveries WHERE id = {}"),
        ("unit.requeue", "SELECT id FROM units WHERE reason <> ''", "SELECT state FROM units WHERE id = {}"),
        ("job.cancel", "SELECT max(id) FROM jobs WHERE state = 'queued'", "SELECT state FROM jobs WHERE id = {}"),
    ],
)
def test_an_action_needs_a_reason_and_is_carried_out_by_its_role(
    browser: Browser, database: Database, carry_out: Any, kind: str, query: str, state: str
) -> None:
    id = _id(database, query)
    before = scalar(database, state.format(id))
    browser.open("/operations")
    assert browser.send_form("/operations/commands", kind=kind, subject=str(id), reason="").status_code == 422
    assert browser.send_form("/operations/commands", kind=kind, subject=str(id), reason="two\nlines").status_code == 422
    assert scalar(database, "SELECT count(*) FROM commands") == 0
    assert browser.send_form("/operations/commands", kind=kind, subject=str(id), reason="the disk was full").status_code == 303
    assert scalar(database, state.format(id)) == before, "the console changes nothing itself"
    waiting = browser.get("/operations/commands")
    assert "waits for the answer" in waiting.text
    assert "hx-trigger" in waiting.text
    carry_out(kind)
    assert scalar(database, state.format(id)) != before
    answered = browser.get("/operations/commands")
    assert answered.headers["hx-trigger"] == "commands-answered"
    assert "the disk was full" in answered.text
    query = "SELECT actor, details ->> 'reason' FROM audit_events WHERE action = 'command.asked' ORDER BY id DESC LIMIT 1"
    assert rows(database, query) == [("user:operator", "the disk was full")]


def test_a_route_and_a_destination_are_paused_and_resumed_with_their_reasons_shown(
    browser: Browser, carry_out: Any, database: Database
) -> None:
    browser.open("/operations")
    for kind, subject, reason in (("route.pause", "chest CT", "model check"), ("destination.pause", "pacs", "maintenance")):
        browser.send_form("/operations/commands", kind=kind, subject=subject, reason=reason)
        carry_out(kind)
    page = browser.get("/operations").text
    for shown in ("model check", "maintenance", "Its jobs wait in the queue", "route paused"):
        assert shown in page, shown
    browser.send_form("/operations/commands", kind="route.resume", subject="chest CT", reason="checked")
    carry_out("route.resume")
    assert "route paused" not in browser.get("/operations").text
    assert rows(database, "SELECT kind, name FROM pauses") == [("destination", "pacs")]


def test_a_destination_is_tested_without_a_reason_and_the_answer_is_shown(browser: Browser, carry_out: Any) -> None:
    browser.open("/operations")
    assert browser.send_form("/operations/commands", kind="destination.echo", subject="pacs").status_code == 303
    carry_out("destination.echo")
    page = browser.get("/operations/commands").text
    assert "pacs: " in page
    assert "badge done" in page


@pytest.mark.parametrize(("kind", "subject"), [("job.delete", "1"), ("model.activate", "x"), ("job.requeue", "")])
def test_unknown_actions_are_refused(browser: Browser, database: Database, kind: str, subject: str) -> None:
    browser.open("/operations")
    assert browser.send_form("/operations/commands", kind=kind, subject=subject, reason="why not").status_code == 422
    assert scalar(database, "SELECT count(*) FROM commands") == 0


def test_a_row_that_does_not_exist_is_answered_with_the_reason(browser: Browser, carry_out: Any) -> None:
    browser.open("/operations")
    browser.send_form("/operations/commands", kind="job.requeue", subject="999999", reason="why not")
    carry_out("job.requeue")
    assert "there is no job 999999" in browser.get("/operations/commands").text


def test_a_file_is_tested_against_the_routes_and_nothing_is_stored(browser: Browser, database: Database) -> None:
    before = scalar(database, "SELECT count(*) FROM instances")
    browser.open("/operations")
    origin = {"Origin": str(browser.base_url).rstrip("/")}

    def drop(name: str, content: bytes) -> str:
        files = {"file": (name, content, "application/dicom")}
        return browser.post("/operations/route-test", data={"form_token": browser.form_token}, files=files, headers=origin).text

    page = drop("chest.dcm", encoded(image()))
    assert "chest.dcm" in page
    assert "Modality is CT, wanted CT" in page
    assert "No route can select it" in drop("noise.dcm", b"\x00\x01" * 4000)
    assert scalar(database, "SELECT count(*) FROM instances") == before


def test_a_notification_that_the_webhook_refused_is_shown_and_posted_again(browser: Browser, database: Database, folder: Path) -> None:
    with webhook_server() as hook:
        hook.statuses = [500, 302]
        settings = Settings.model_validate({"node": {"data_dir": folder}, "webhook": {"url": f"http://127.0.0.1:{hook.port}/x"}})
        begin_alert(database, "disk.low", "", {}, actor="send", webhook=True, audited=True)
        poster = WebhookPoster(settings, database, threading.Event())
        for problem in ("answered 500", "answered 302"):
            assert poster.post_next()
            page = browser.open("/operations").text
            assert "disk.low.began" in page
            assert problem in page
            id = _id(database, "SELECT id FROM notifications WHERE note <> ''")
            command = {"kind": "notification.retry", "subject": str(id)}
            assert browser.send_form("/operations/commands", **command, reason="repaired").status_code == 303
            CommandRunner("send", database, DestinationCommands(settings, database).handlers(), threading.Event()).run_next()
            assert "is posted again" in browser.get("/operations/commands").text
        assert poster.post_next()
        assert [json.loads(body)["event"] for _, body in hook.posts] == ["disk.low.began"] * 3
    assert "answered 302" not in browser.get("/operations").text, "accepted"
    assert browser.get("/api/v1/notifications").json()["items"] == []
    assert browser.send_form("/operations/commands", **command, reason="again").status_code == 303
    CommandRunner("send", database, DestinationCommands(settings, database).handlers(), threading.Event()).run_next()
    assert "that the webhook has not accepted" in browser.get("/operations/commands").text
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'notification.retried'") == [("user:operator",)] * 2


def test_a_commitment_report_that_could_not_be_sent_is_shown_and_given_up(browser: Browser, carry_out: Any, database: Database) -> None:
    pair = [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]
    id = source_requests.record_source_request(database, source="MODALITY", transaction_uid="2.25.7", instances=pair, reserve_s=0)
    assert "MODALITY" not in browser.open("/operations").text, "it is still to be sent"
    run(database, "UPDATE source_commitment_requests SET state = 'failed', note = 'refused by the peer', answered_at = node_now()")
    assert [one["note"] for one in browser.get("/api/v1/commitments").json()["items"]] == ["refused by the peer"]
    for kind, state in (("commitment.give_up", "given_up"), ("commitment.retry", "pending")):
        run(database, "UPDATE source_commitment_requests SET state = 'failed'")
        page = browser.open("/operations").text
        for shown in ("MODALITY", "refused by the peer", f'value="{kind}"'):
            assert shown in page, shown
        assert browser.send_form("/operations/commands", kind=kind, subject=str(id), reason="").status_code == 422
        assert browser.send_form("/operations/commands", kind=kind, subject=str(id), reason="it is gone").status_code == 303
        carry_out(kind)
        assert scalar(database, "SELECT state FROM source_commitment_requests") == state
    assert "MODALITY" not in browser.open("/operations").text


def test_what_waits_for_a_destination_is_given_up_by_one_button_that_says_how_many(
    browser: Browser, carry_out: Any, database: Database
) -> None:
    """The destination is no longer in the configuration. The form names the last delivery that was counted."""
    run(
        database,
        """INSERT INTO reports (job_id, kind, profile, sop_class_uid, sop_instance_uid, series_instance_uid, sha256, size_bytes)
           SELECT job_id, 'pdf', 'pdf', sop_class_uid, sop_instance_uid || '.1', series_instance_uid, sha256, size_bytes FROM reports""",
    )
    waits = "INSERT INTO deliveries (job_id, report_id, destination, priority, state) SELECT job_id, id, 'gone', 'routine', 'pending'"
    run(database, f"{waits} FROM reports")
    page = browser.open("/operations").text
    for shown in ("Give up 2 deliveries", "2 deliveries to gone will not be sent any more", "no longer in the configuration", "Send now"):
        assert shown in page, shown
    (last,) = re.findall(r'name="subject" value="gone"><input type="hidden" name="last" value="(\d+)"', page)
    assert int(last) == scalar(database, "SELECT max(id) FROM deliveries WHERE destination = 'gone'")
    command = {"kind": "destination.give_up", "subject": "gone", "last": last}
    assert browser.send_form("/operations/commands", **command, reason="").status_code == 422
    assert browser.send_form("/operations/commands", **command, reason="switched off").status_code == 303
    carry_out("destination.give_up")
    assert "gone: 2 deliveries are given up" in browser.get("/operations/commands").text
    assert rows(database, "SELECT DISTINCT state FROM deliveries WHERE destination = 'gone'") == [("given_up",)]
    assert 'name="subject" value="gone"' not in browser.get("/operations").text
    audited = "SELECT DISTINCT actor, details ->> 'reason' FROM audit_events WHERE action = 'delivery.given_up' AND details @> '{}'"
    given = rows(database, audited.format('{"destination": "gone"}'))
    assert given == [("user:operator", "switched off")]
