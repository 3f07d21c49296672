"""The audit page over real HTTP: search, proof of the chain, exports, and the access report of a patient."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from db import audit
from db.engine import Database
from db.patients.erasure import erase_studies
from db.patients.erasure_plan import plan_erasure
from db.patients.erasure_record import begin_erasure
from db.patients.patient_key import PatientKey
from tests.support.console import Browser, RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run, scalar
from tests.support.services import as_superuser


@pytest.fixture
def browser(database: Database, tmp_path: Path) -> Iterator[Browser]:
    """An auditor, on one study that a viewer has looked at and a destination has stored."""
    Sender(database).send(1, patient_id="=1+1", patient_name="Doe^Jane")
    complete(database, plan())
    finish(database, claim(database))
    run(database, "UPDATE deliveries SET state = 'stored', stored_at = now()")
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("viewer") as viewer, console.browser() as browser:
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
    study = scalar(database, "SELECT id FROM studies WHERE patient_id = '=1+1'")
    for actor, action in (("user:reader", "viewer.opened"), ("user:writer", "object.viewed")):
        audit.record_now(database, actor=actor, action=action, subject=f"study:{study}", details={"from": "10.0.0.9"})
    page = browser.get("/audit/patient?patient_id=%3D1%2B1").text
    assert "Viewed by <strong>reader, viewer, writer</strong>. Results received by <strong>pacs</strong>" in page
    for shown in ("opened the study", "saw it in the worklist", "opened the images", "10.0.0.9", "Report (SR)", "stored"):
        assert shown in page, shown
    assert "holds no study" in browser.get("/audit/patient?patient_id=nobody").text
    row = scalar(database, "SELECT details::text FROM audit_events WHERE action = 'patient.access_read' ORDER BY id LIMIT 1")
    assert "=1+1" not in str(row), "the event holds a keyed reference"


def test_the_access_report_tells_the_persons_of_two_issuers_apart(browser: Browser, database: Database) -> None:
    for number, issuer in ((7, ""), (8, "HOSPITAL B")):
        Sender(database).send(1, study=f"1.{number}", series=f"1.{number}.1", patient_id="SAME", issuer_of_patient_id=issuer)
    first, second = (f'href="/studies/{id}"' for (id,) in rows(database, "SELECT id FROM studies WHERE patient_id = 'SAME' ORDER BY id"))
    page = browser.get("/audit/patient?patient_id=SAME").text
    assert "that of several persons" in page
    assert first not in page
    assert second not in page
    assert 'href="/audit/patient?patient_id=SAME&amp;issuer=HOSPITAL%20B"' in page
    page = browser.get("/audit/patient?patient_id=SAME&issuer=HOSPITAL+B").text
    assert (first in page, second in page) == (False, True)
    page = browser.get("/audit/patient?patient_id=SAME&issuer=").text
    assert (first in page, second in page) == (True, False)
    found = browser.get("/api/v1/audit/patient-access", params={"patient_id": "SAME"}).json()
    assert (found["issuers"], found["studies"]) == (["", "HOSPITAL B"], [])


def test_the_access_report_finds_lists_of_units_and_jobs_pages_of_views_and_exports(browser: Browser, database: Database) -> None:
    Sender(database).send(1, study="1.9", series="1.9.1", patient_id="UNROUTED")
    complete(database, study="1.9", reason="no route takes it")
    run(database, "UPDATE units SET outcome = 'not_analysed' WHERE reason <> ''")
    with Browser(base_url=browser.base_url, timeout=600) as operator:
        operator.open("/sign-in")
        operator.sign_in("operator", next="/account")
        for path in ("/operations", "/api/v1/jobs", "/api/v1/deliveries"):
            assert operator.get(path).status_code == 200
    browser.get("/audit/views?view=v_findings&column=patient_id&operator=is&value=UNROUTED")

    def views(patient: str) -> set[tuple[str, str]]:
        found = browser.get("/api/v1/audit/patient-access", params={"patient_id": patient}).json()
        return {(view["actor"].removeprefix("user:"), view["action"]) for view in found["views"]}

    assert views("UNROUTED") == {("operator", "units.viewed"), ("auditor", "view.shown")}
    assert {("operator", "jobs.viewed"), ("operator", "deliveries.viewed")} <= views("=1+1")
    assert not {("operator", "units.viewed"), ("auditor", "view.shown")} & views("=1+1"), "the lists did not show this patient"
    assert "Exports of many patients" not in browser.get("/audit/patient?patient_id=UNROUTED").text
    browser.get("/audit/views/export?view=v_findings")
    page = browser.get("/audit/patient?patient_id=UNROUTED").text
    for shown in ("Viewed by <strong>auditor, operator</strong>", "series that no route took", "the query page", "exported rows of a view"):
        assert shown in page, shown
    assert "units.viewed" in browser.get("/audit?patient_id=UNROUTED").text, "the search by patient finds it too"


@pytest.mark.parametrize("api", [False, True])
def test_every_filter_finds_what_it_names_and_nothing_else(browser: Browser, database: Database, api: bool) -> None:
    Sender(database).send(1, study="1.9", series="1.9.1", patient_id="OTHER")
    complete(database, plan(), study="1.9")
    finish(database, claim(database))
    first, second = (int(str(row[0])) for row in rows(database, "SELECT id FROM studies ORDER BY id"))
    uid, sha256 = rows(database, "SELECT sop_instance_uid, sha256 FROM reports ORDER BY id LIMIT 1")[0]
    jobs = [str(row[0]) for row in rows(database, "SELECT 'job:' || id FROM jobs ORDER BY id")]
    audit.record_now(database, actor="user:zoe", action="study.viewed", subject=f"study:{second}", details={"from": "10.0.0.1"})

    def subjects(**query: str) -> set[str]:
        if api:
            reply = browser.get("/api/v1/audit/events", params={**query, "limit": "200"})
            assert reply.status_code == 200, (query, reply.text[-600:])
            items = reply.json()["items"]
            return {item["subject"] for item in items}
        reply = browser.get("/audit", params=query)
        assert reply.status_code == 200, (query, reply.text[-600:])
        page = reply.text
        return set(re.findall(r"<td>[^<]*</td><td>[a-z_.]+</td><td>([^<]*)</td>", page))

    assert subjects(actor="zoe") == {f"study:{second}"}
    assert subjects(action="study.viewed") == {f"study:{first}", f"study:{second}"}
    assert subjects(subject=jobs[1]) == {jobs[1]}
    for of_first in ({"patient_id": "=1+1"}, {"study": str(first)}, {"study": "1.2.3"}):
        found = subjects(**of_first)
        assert {f"study:{first}", jobs[0], "worklist"} <= found, of_first
        assert not {f"study:{second}", jobs[1]} & found, of_first
    for of_object in (str(uid), str(sha256)):
        found = subjects(object=of_object)
        assert jobs[0] in found
        assert not {jobs[1], f"study:{second}"} & found
    assert subjects(patient_id="nobody") == subjects(study="1.7.7") == subjects(object="2.25.1") == set()
    assert subjects(actor="zoe", patient_id="=1+1") == set(), "filters narrow each other"
    today = database.now().date()
    tomorrow, yesterday = (str(today + timedelta(days=days)) for days in (1, -1))
    assert subjects(actor="zoe", since=str(today), until=str(today)) == {f"study:{second}"}
    assert subjects(actor="zoe", since=tomorrow) == subjects(actor="zoe", until=yesterday) == set()


def test_the_search_by_patient_finds_receptions_with_every_issuer_also_after_an_erasure(browser: Browser, database: Database) -> None:
    sender = Sender(database)
    first = sender.send(1, study="1.7", series="1.7.1", patient_id="SAME", issuer_of_patient_id="HOSPITAL B")
    plain = sender.send(1, study="1.8", series="1.8.1", patient_id="SAME")
    later = sender.send(2, study="1.8", series="1.8.1", patient_id="SAME", issuer_of_patient_id="HOSPITAL C")
    other = sender.send(1, study="1.9", series="1.9.1", patient_id="OTHER", issuer_of_patient_id="HOSPITAL B")

    def received() -> set[str]:
        query = {"patient_id": "SAME", "action": "instance.received"}
        page = browser.get("/audit", params=query).text
        items = browser.get("/api/v1/audit/events", params={**query, "limit": "200"}).json()["items"]
        found = set(re.findall(r"<td>(instance:\d+)</td>", page))
        assert found == {item["subject"] for item in items}
        return found

    every = {f"instance:{one.instance_id}" for one in (first, plain, later)}
    assert received() == every
    assert f"instance:{other.instance_id}" not in every
    person = PatientKey("SAME", "HOSPITAL B")
    erasure = begin_erasure(database, person, plan_erasure(database, person), actor="cli:ann", reason="asked")
    erase_studies(database, erasure, cancel=True)
    assert scalar(database, "SELECT count(*) FROM studies WHERE study_instance_uid = '1.7'") == 0
    assert received() == every
    browser.get("/audit/export", params={"patient_id": "SAME"})
    ((kept,),) = rows(database, "SELECT CAST(details AS text) FROM audit_events WHERE action = 'audit.exported'")
    assert person.reference(database) in str(kept)
    assert "SAME" not in str(kept)


def test_a_destination_that_stored_a_result_and_did_not_commit_to_it_has_received_it(browser: Browser, database: Database) -> None:
    attempt = "INSERT INTO delivery_attempts (delivery_id, number, sender, token, result, ended_at)"
    run(database, f"{attempt} SELECT id, 1, 's', gen_random_uuid(), 'retry', now() FROM deliveries")
    run(database, "UPDATE deliveries SET state = 'failed', stored_at = NULL")
    assert "No destination has received a result" in browser.get("/audit/patient?patient_id=%3D1%2B1").text
    run(database, "UPDATE delivery_attempts SET result = 'stored'")
    page = browser.get("/audit/patient?patient_id=%3D1%2B1").text
    for shown in ("Results received by <strong>pacs</strong>", ">failed<", "but stored there"):
        assert shown in page, shown
    (received,) = browser.get("/api/v1/audit/patient-access", params={"patient_id": "=1+1"}).json()["deliveries"]
    assert (received["destination"], received["state"], received["at"] is None) == ("pacs", "failed", False)
