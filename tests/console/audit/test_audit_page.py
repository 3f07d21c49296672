"""The audit page over real HTTP: search, proof of the chain, exports, and the access report of a patient."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import audit
from db.engine import Database
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, run, scalar
from tests.support.services import as_superuser


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """An auditor, on one study that a viewer has looked at and a destination has stored."""
    Sender(database).send(1, patient_id="=1+1", patient_name="Doe^Jane")
    complete(database, plan())
    finish(database, claim(database))
    run(database, "UPDATE deliveries SET state = 'stored', stored_at = now()")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser() as viewer, console.browser() as browser:
        viewer.sign_in("viewer")
        viewer.get("/worklist")
        viewer.get(f"/studies/{scalar(database, 'SELECT id FROM studies')}")
        browser.sign_in("auditor", next="/audit")
        yield browser


def test_events_are_found_by_who_action_subject_and_date(browser: Browser, database: Database) -> None:
    study = scalar(database, "SELECT id FROM studies")
    for query, found, other in (
        ("actor=viewer", "study.viewed", "job.reported"),
        ("action=study.", "study.viewed", "worklist.viewed"),
        (f"subject=study:{study}", "study.viewed", "worklist.viewed"),
        ("since=2020-01-01&action=worklist", "worklist.viewed", "study.viewed"),
    ):
        page = browser.get(f"/audit?{query}").text
        assert f"<td>{found}</td>" in page, query
        assert f"<td>{other}</td>" not in page, query
    assert "No event matches" in browser.get("/audit?until=2020-01-01").text
    assert "No event matches" in browser.get("/audit?actor=%25").text, "a pattern is searched as text"


def test_the_chain_is_proved_and_a_changed_row_is_named(browser: Browser, database: Database) -> None:
    audit.chain(database)
    browser.open("/audit")
    page = browser.send_form("/audit/verify").text
    assert "The chain is whole" in page
    broken = scalar(database, "SELECT min(id) FROM audit_events WHERE action = 'user.added'")
    with as_superuser(database) as owner:
        for statement in (
            "ALTER TABLE audit_events DISABLE TRIGGER ALL",
            f"UPDATE audit_events SET actor = 'somebody else' WHERE id = {broken}",
            "ALTER TABLE audit_events ENABLE TRIGGER ALL",
        ):
            run(owner, statement)
    page = browser.send_form("/audit/verify").text
    assert f"The chain is broken at event {broken}" in page
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'audit.verified'") == 2


def test_exports_hold_every_event_and_no_formula_and_are_audited(browser: Browser, database: Database) -> None:
    audit.record_now(database, actor="=cmd()", action="test.formula", subject="@x", details={})
    reply = browser.get("/audit/export?format=csv&action=test.")
    assert reply.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    header, row = csv.reader(io.StringIO(reply.text))
    assert header[:4] == ["event_id", "at", "actor", "action"]
    assert (row[2], row[4]) == ("'=cmd()", "'@x")
    everything = browser.get("/audit/export?format=json").json()
    assert len(everything) == scalar(database, "SELECT count(*) FROM audit_events")
    assert [event["action"] for event in everything].count("audit.exported") == 2
    assert browser.get("/audit/export?format=json&action=nothing").json() == []


def test_the_access_report_says_who_viewed_and_who_received(browser: Browser, database: Database) -> None:
    page = browser.get("/audit/patient?patient_id=%3D1%2B1").text
    for shown in ("user:viewer", "study.viewed", "worklist.viewed", "pacs", "Report (SR)", "stored"):
        assert shown in page, shown
    assert "holds no study" in browser.get("/audit/patient?patient_id=nobody").text
    row = scalar(database, "SELECT details::text FROM audit_events WHERE action = 'patient.access_read' ORDER BY id LIMIT 1")
    assert "=1+1" not in str(row), "the event holds a keyed reference"
