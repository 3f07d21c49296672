"""Actions on many rows over real HTTP: a selection, a preview with counts, a reason, and a command that the owning role answers."""

import html
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.commitment import source_requests
from db.engine import Database
from db.operations.command_kinds import COMMANDS, ON_MANY, CommandKind
from db.receive.quarantine import quarantine_instance
from db.roles.command_runner import CommandRunner
from dicom_node.conduct.commands import command_handlers
from dicom_node.deliver.commands import DestinationCommands
from dicom_node.receive import listen_role
from models import registry
from tests.db.jobs.test_requeue_plan import DAMAGED, MEMORY, fail_job
from tests.db.operations.test_retention import Unit, _age
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, blob, complete, deliver_all, plan, report_study, rows, run, scalar

PATHS = [
    "/operations/jobs/requeue",
    "/operations/deliveries/send",
    "/operations/results/send",
    "/operations/results/run",
    "/operations/quarantine/receive",
    "/operations/units/route",
    "/operations/commitments/send",
    "/operations/retention",
]
REQUEUE, RETRY, SEND, RERUN, RECEIVE, ROUTE, REPORTS, RETENTION = PATHS


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    return {"destinations": [{"name": "pacs", "folder": tmp_path, "accept_research": True}], "retention": {"images_days": 30}}


@pytest.fixture
def browser(database: Database, tmp_path: Path, sections: dict[str, Any]) -> Iterator[Browser]:
    """An operator."""
    add_users(database)
    with RunningConsole(database, tmp_path, **sections) as console, console.browser("operator") as opened:
        yield opened


@pytest.fixture
def carry_out(database: Database, tmp_path: Path, sections: dict[str, Any]) -> Any:
    """Have the waiting command carried out by the role that owns it; returns its state, subject and answer."""
    settings = Settings.model_validate({"node": {"data_dir": tmp_path}, **sections})

    def runner(kind: CommandKind) -> tuple[object, ...]:
        owners = {
            "conduct": lambda: command_handlers(settings, database),
            "send": lambda: DestinationCommands(settings, database).handlers(),
            "listen": lambda: listen_role.command_handlers(settings, database, Blobs(settings.blobs_dir)),
        }
        role = COMMANDS[kind].role
        CommandRunner(role, database, owners[role](), threading.Event()).run_next()
        (found,) = rows(
            database, f"SELECT state, args ->> 'subject', result ->> 'answer' FROM commands WHERE kind = '{kind}' ORDER BY id DESC LIMIT 1"
        )
        return found

    return runner


def _hidden(page: str) -> dict[str, str]:
    """The hidden fields of the form that asks for the command."""
    (form,) = re.findall(r'<form method="post" action="/operations/[^"]+" class="confirm">(.*?)</form>', page, re.DOTALL)
    return {name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form)}


def _ask(browser: Browser, path: str, page: str, reason: str = "the cause is repaired") -> int:
    return browser.send_form(path, **{**_hidden(page), "reason": reason}).status_code


@pytest.mark.parametrize("path", PATHS)
def test_a_page_without_anything_to_do_says_so_and_asks_for_nothing(browser: Browser, path: str) -> None:
    reply = browser.open(path)
    assert reply.status_code == 200
    assert "Reason <input" not in reply.text
    assert any(said in reply.text for said in ("The selection is empty", "Choose ", "Nothing is old enough"))


@pytest.mark.parametrize("path", PATHS)
def test_only_people_who_run_the_node_may(database: Database, tmp_path: Path, path: str) -> None:
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("clinician") as clinician:
        assert clinician.get(path).status_code == 403
        clinician.open("/worklist")
        assert clinician.send_form(path, subject="1 job", reason="x", last="9").status_code == 403
    assert scalar(database, "SELECT count(*) FROM commands") == 0


@pytest.mark.parametrize("kind", sorted(ON_MANY))
def test_the_form_of_one_row_asks_for_no_command_on_many(browser: Browser, database: Database, kind: str) -> None:
    browser.open("/operations")
    assert browser.send_form("/operations/commands", kind=kind, subject="1", last="9", reason="x").status_code == 422
    assert scalar(database, "SELECT count(*) FROM commands") == 0


def test_failed_jobs_are_requeued_by_reason_as_they_were_shown(browser: Browser, database: Database, carry_out: Any) -> None:
    jobs = [fail_job(database, number, reason) for number, reason in enumerate((MEMORY, DAMAGED, MEMORY), 1)]
    assert f'href="{REQUEUE}"' in browser.open("/operations").text
    whole = browser.open(REQUEUE).text
    assert "3 jobs would be queued again" in whole
    assert f"2 × {MEMORY}" in whole
    page = browser.open(f"{REQUEUE}?model=lung_nodule_ct&cause={MEMORY}").text
    assert "2 jobs would be queued again" in page
    assert DAMAGED not in re.sub(r"<select.*?</select>", "", page, flags=re.DOTALL)
    for wrong in ("", "two\nlines"):
        refused = browser.send_form(REQUEUE, **{**_hidden(page), "reason": wrong})
        assert refused.status_code == 422
        assert "2 jobs would be queued again" in refused.text, "the selection is kept"
    assert scalar(database, "SELECT count(*) FROM commands") == 0
    late = fail_job(database, 4, MEMORY)
    assert _ask(browser, REQUEUE, page) == 303
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {jobs[0]}") == "quarantined", "the console changes nothing itself"
    assert carry_out(CommandKind.JOB_REQUEUE_MANY) == ("done", "2 jobs", "2 jobs are queued again")
    assert rows(database, "SELECT id FROM jobs WHERE state = 'quarantined' ORDER BY id") == [(jobs[1],), (late,)]
    shown = browser.get("/operations/commands").text
    for words in ("Requeue failed jobs", "2 jobs are queued again", "the cause is repaired"):
        assert words in shown
    asked = rows(database, "SELECT actor, details ->> 'kind', details ->> 'reason' FROM audit_events WHERE action = 'command.asked'")
    assert asked == [("user:operator", "job.requeue_many", "the cause is repaired")]
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'job.requeued' AND actor = 'user:operator'") == 2


def test_a_job_that_cannot_be_requeued_is_counted_with_its_reason(browser: Browser, database: Database) -> None:
    fail_job(database, 1, MEMORY)
    run(database, "UPDATE units SET revision = revision + 1")
    page = browser.open(REQUEUE).text
    assert "1 job would not: its unit has a newer revision" in page
    assert "Reason <input" not in page


@pytest.mark.parametrize("fields", [{"last": "x"}, {"count": "-1"}, {"subject": ""}, {"subject": "two\nlines"}, {"cause": "\x00"}])
def test_a_form_that_is_not_of_the_page_is_refused(browser: Browser, database: Database, fields: dict[str, str]) -> None:
    fail_job(database, 1, MEMORY)
    page = browser.open(REQUEUE).text
    assert browser.send_form(REQUEUE, **{**_hidden(page), "reason": "x", **fields}).status_code == 422
    assert scalar(database, "SELECT count(*) FROM commands") == 0


def test_failed_deliveries_of_a_destination_are_sent_again(browser: Browser, database: Database, carry_out: Any) -> None:
    report_study(database, plan(destinations=("pacs", "clinic")))
    run(database, "UPDATE deliveries SET state = 'failed', note = 'SOP class not supported'")
    assert f'href="{RETRY}"' in browser.get("/operations").text
    assert "2 deliveries would be sent again" in browser.get(RETRY).text
    page = browser.open(f"{RETRY}?destination=pacs&cause=SOP class not supported").text
    assert "1 delivery would be sent again" in page
    assert "2 × SOP class not supported" in page
    assert _ask(browser, RETRY, page) == 303
    assert carry_out(CommandKind.DELIVERY_RETRY_MANY) == ("done", "1 delivery", "1 delivery is sent again")
    assert rows(database, "SELECT destination, state FROM deliveries ORDER BY id") == [("pacs", "pending"), ("clinic", "failed")]


def test_commitment_reports_of_a_source_are_sent_again(browser: Browser, database: Database, carry_out: Any) -> None:
    pair = [("1.2.840.10008.5.1.4.1.1.2", "1.2.3")]
    source_requests.record_source_request(database, source="CT_1", transaction_uid="2.25.7", instances=pair, reserve_s=0)
    run(database, "UPDATE source_commitment_requests SET state = 'failed', note = 'refused', answered_at = node_now()")
    assert f'href="{REPORTS}"' in browser.get("/operations").text
    page = browser.open(f"{REPORTS}?source=CT_1").text
    assert "1 report would be sent again" in page
    assert _ask(browser, REPORTS, page) == 303
    assert carry_out(CommandKind.COMMITMENT_RETRY_MANY) == ("done", "1 report", "1 report is sent again")
    assert scalar(database, "SELECT state FROM source_commitment_requests") == "pending"


def test_what_a_destination_has_lost_is_sent_again(browser: Browser, database: Database, carry_out: Any) -> None:
    report_study(database)
    deliver_all(database)
    assert f'href="{SEND}?destination=pacs"' in browser.get("/operations").text
    assert "Choose a destination and from when" in browser.get(f"{SEND}?destination=pacs").text
    day = (database.now() - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    assert "The selection is empty" in browser.get(f"{SEND}?destination=pacs&since=2020-01-01T00:00&until={day}").text
    page = browser.open(f"{SEND}?destination=pacs&since={day}").text
    assert "1 object would be sent again" in page
    assert "Report (SR)" in page
    assert _ask(browser, SEND, page, "the archive lost a day") == 303
    assert carry_out(CommandKind.DELIVERY_RESEND_MANY) == ("done", "1 object to pacs", "1 object is sent again")
    assert rows(database, "SELECT state, note FROM deliveries") == [("pending", "sent again by operator: the archive lost a day")]
    assert rows(database, "SELECT actor FROM audit_events WHERE action = 'job.resent'") == [("user:operator",)]


@pytest.mark.parametrize("path", [SEND, RERUN, ROUTE])
@pytest.mark.parametrize(
    ("time", "said"),
    [("since=yesterday", "is no date and time"), ("since=2026-02-01T00:00&until=2026-01-01T00:00", "not after its beginning")],
)
def test_a_wrong_time_is_answered_in_words(browser: Browser, path: str, time: str, said: str) -> None:
    reply = browser.get(f"{path}?destination=pacs&{time}")
    assert reply.status_code == 422
    assert said in reply.text


def test_results_of_a_version_run_again(browser: Browser, database: Database, carry_out: Any) -> None:
    job = report_study(database)
    version = registry.card("lung_nodule_ct").version
    assert "Choose from when" in browser.get(f"{RERUN}?made=lung_nodule_ct").text
    assert "The selection is empty" in browser.get(f"{RERUN}?made=lung_nodule_ct@0.1").text
    page = browser.open(f"{RERUN}?made=lung_nodule_ct@1.0").text
    assert "1 job would be run again" in page
    assert f"run on {version}, supersede the result of 1.0" in page
    assert "no version of lung_nodule_ct is 9.9" in browser.get(f"{RERUN}?made=lung_nodule_ct@1.0&version=9.9").text
    assert _ask(browser, RERUN, page, "a better version") == 303
    assert carry_out(CommandKind.JOB_RERUN_MANY) == ("done", "1 job", "1 job is queued to run again")
    assert scalar(database, f"SELECT state FROM jobs WHERE id = {job}") == "superseded"


def test_refused_data_sets_of_one_reason_are_received_again(browser: Browser, database: Database, carry_out: Any) -> None:
    for number, reason in enumerate(("too large", "too large", "cannot be parsed"), 1):
        quarantine_instance(
            database, blob=blob(f"refused {number}"), reason=reason, status=0xC000, sop_class_uid="1.2", sop_instance_uid="1.3",
            association_id=UUID(int=1), source="PACS", max_bytes=1 << 20,
        )  # fmt: skip
    assert f'href="{RECEIVE}"' in browser.get("/operations").text
    page = browser.open(f"{RECEIVE}?cause=too large&source=PACS").text
    assert "2 data sets would be checked again" in page
    assert "3 × PACS" in page
    assert _ask(browser, RECEIVE, page) == 303
    state, subject, answer = carry_out(CommandKind.QUARANTINE_REQUEUE_MANY)
    assert (state, subject) == ("failed", "2 data sets")
    assert answer == "nothing was changed; 2 not: refused again, its bytes are missing (restore the blob from a backup)"


def test_units_without_a_route_are_routed_again(browser: Browser, database: Database, carry_out: Any) -> None:
    for number, source in enumerate(("PACS", "WARD"), 1):
        Sender(database, ae=source).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, study=f"1.2.{number}", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed'")
    assert f'href="{ROUTE}"' in browser.get("/operations").text
    page = browser.open(f"{ROUTE}?source=WARD&since=2020-01-01T00:00").text
    assert "1 unit would be routed again" in page
    assert _ask(browser, ROUTE, page) == 303
    assert carry_out(CommandKind.UNIT_REQUEUE_MANY) == ("done", "1 unit", "1 unit is routed again")
    assert rows(database, "SELECT source, state FROM units ORDER BY id") == [("PACS", "complete"), ("WARD", "open")]


def test_retention_shows_first_what_it_deletes(browser: Browser, database: Database, carry_out: Any, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    unit = Unit(database, blobs, 1).report().deliver()
    page = browser.open(RETENTION).text
    assert "Reason <input" not in page, "nothing is old enough"
    _age(database, 31)
    page = browser.open(RETENTION).text
    assert re.search(r"1 image of 1 unit \(\d+ B\) would be deleted by images_days = 30\.", page)
    assert unit.kept() == (True, True)
    assert _ask(browser, RETENTION, page, "the disk is full") == 303
    assert carry_out(CommandKind.RETENTION_RUN) == ("done", "1 object", "deleted: 1 image of 1 unit")
    assert unit.kept() == (False, True)


def test_a_policy_that_was_changed_since_the_page_was_opened_deletes_nothing(
    browser: Browser, database: Database, carry_out: Any, tmp_path: Path
) -> None:
    unit = Unit(database, Blobs(tmp_path / "blobs"), 1).report().deliver()
    _age(database, 31)
    hidden = {**_hidden(browser.open(RETENTION).text), "policy": "images 7"}
    assert browser.send_form(RETENTION, **hidden, reason="the disk is full").status_code == 303
    assert carry_out(CommandKind.RETENTION_RUN)[0] == "failed"
    assert unit.kept() == (True, True)
