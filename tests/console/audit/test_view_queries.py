"""The query page of auditors, and the database role that may read the views and nothing else."""

import csv
import html
import io
import re
from pathlib import Path

import psycopg2
import pytest
from sqlalchemy.engine import make_url

from console.audit import view_queries
from core.errors import ConfigurationError
from db import audit_views, newest_findings
from db.audit_views import ViewCondition, query_view
from db.auditor_role import make_auditor
from db.engine import Database
from db.schema import VIEWS
from tests.support.console import RunningConsole, add_users
from tests.support.records import Sender, claim, complete, finish, plan, rows, run
from tests.support.services import as_superuser


def test_an_auditor_queries_views_and_every_query_is_audited_without_its_values(database: Database, tmp_path: Path) -> None:
    Sender(database).send(1, patient_id="=1+1")
    complete(database, plan())
    finish(database, claim(database))
    add_users(database)
    with RunningConsole(database, tmp_path) as console, console.browser("auditor") as browser:
        assert "Calibrated probability, 0 to 1" in browser.get("/audit/views").text
        query = "view=v_findings&column=patient_id&operator=is&value=%3D1%2B1&column=score&operator=at+least&value=0.5"
        assert "lung_nodule_ct" in browser.get(f"/audit/views?{query}").text
        assert "No row matches" in browser.get("/audit/views?view=v_jobs&column=model&operator=contains&value=%25").text
        wrong = browser.get("/audit/views?view=v_findings&column=score&operator=at+least&value=much")
        assert wrong.status_code == 422
        assert "does not fit its column" in wrong.text
        for hostile in (
            "view=users",
            "view=v_jobs&column=password_hash&operator=is&value=x",
            "view=v_jobs&column=model&operator=OR&value=",
        ):
            assert browser.get(f"/audit/views?{hostile}").status_code in (404, 422), hostile
        header, row = csv.reader(io.StringIO(browser.get(f"/audit/views/export?{query}").text))
        assert row[header.index("patient_id")] == "'=1+1"
    events = rows(database, "SELECT actor, subject, details FROM audit_events WHERE action = 'view.queried'")
    assert len(events) == 5
    assert "1+1" not in str(events)


def test_an_auditor_reads_the_views_and_nothing_else(database: Database, database_url: str) -> None:
    with pytest.raises(ConfigurationError, match="may not make roles"):
        make_auditor(database, "auditor_of_tests", VIEWS, actor="test")
    with as_superuser(database) as admin:
        password = make_auditor(admin, "auditor_of_tests", VIEWS, actor="test")
        renewed = make_auditor(admin, "auditor_of_tests", VIEWS, actor="test")
    assert renewed != password
    parts = make_url(database_url)
    session = psycopg2.connect(
        host=parts.host or parts.query.get("host"), port=parts.port, dbname=parts.database, user="auditor_of_tests", password=renewed
    )
    session.autocommit = True
    with session.cursor() as cursor:
        for view in VIEWS:
            cursor.execute(f"SELECT count(*) FROM {view}")
        for statement in ("SELECT * FROM users", "SELECT * FROM studies", "DELETE FROM v_audit", "CREATE TABLE t (i int)",
                          "SET default_transaction_read_only = off; DELETE FROM audit_events"):  # fmt: skip
            with pytest.raises((psycopg2.errors.InsufficientPrivilege, psycopg2.errors.ReadOnlySqlTransaction)):
                cursor.execute(statement)
    session.close()
    with as_superuser(database) as admin:
        with pytest.raises(ConfigurationError, match="no auditor of this node"):
            make_auditor(admin, str(rows(database, "SELECT current_user")[0][0]), VIEWS, actor="test")
        with pytest.raises(ConfigurationError, match="cannot be the name"):
            make_auditor(admin, "x; DROP TABLE users", VIEWS, actor="test")


def test_rows_are_shown_in_pages_and_exported_up_to_a_limit(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(database, "INSERT INTO audit_events (actor, action, subject, details) "
                  "SELECT 'test', 'test.row', 'row:' || n, '{}' FROM generate_series(1, 250) n")  # fmt: skip
    add_users(database)
    query = "view=v_audit&column=action&operator=is&value=test.row"
    with RunningConsole(database, tmp_path) as console, console.browser("auditor") as browser:
        path, shown = f"/audit/views?{query}", []
        for rows_of_page in ("Rows 1 to 100,", "Rows 101 to 200,", "Rows 201 to 250 of 250,"):
            page = browser.get(path).text
            assert rows_of_page in page
            shown += re.findall(r"<td[^>]*>(row:\d+)</td>", page)
            found = re.search(r'href="([^"]+)" rel="next"', page)
            path = html.unescape(found[1]) if found else ""
        assert path == "", "the last page has no next one"
        assert shown == [f"row:{number}" for number in range(250, 0, -1)]
        assert 'rel="prev"' in page
        assert browser.get(f"/audit/views?{query}&skip=-1").status_code == 422
        assert len(list(csv.reader(io.StringIO(browser.get(f"/audit/views/export?{query}").text)))) == 251
        monkeypatch.setattr(view_queries, "MOST_EXPORTED", 100)
        lines = list(csv.reader(io.StringIO(browser.get(f"/audit/views/export?{query}").text)))
        assert len(lines) == 102
        assert lines[-1][0].startswith("only the first 100 rows")


def test_the_newest_findings_come_first_and_are_found_from_the_newest_jobs_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_findings, "FIRST_JOBS", 1)
    monkeypatch.setattr(newest_findings, "GROWTH", 2)
    for number in range(1, 7):
        Sender(database).send(1, study=f"1.2.{number}", series=f"1.2.{number}.1")
        complete(database, plan(), study=f"1.2.{number}")
        finish(database, claim(database), findings=2)
    run(database, "UPDATE jobs SET queued_at = now() - make_interval(days => 10 - id::integer)")
    evaluation = '[{"name": {"value": "DENSITY"}, "value": {"meaning": "Made up"}}]'
    run(database, f"UPDATE findings SET evaluations = '{evaluation}' WHERE job_id = 2")

    def rows_of(*conditions: ViewCondition, limit: int, skip: int = 0) -> list[tuple[int, int]]:
        found = query_view(database, "v_findings", conditions, limit=limit, skip=skip, actor="test", address="")
        return [(row.job_id, row.ordinal) for row in found]

    assert rows_of(limit=3) == [(6, 1), (6, 2), (5, 1)]
    assert rows_of(limit=2, skip=9) == [(2, 2), (1, 1)]
    assert len(rows_of(limit=50)) == 12
    assert rows_of(ViewCondition("density", "is", "Made up"), limit=50) == [(2, 1), (2, 2)]
    assert rows_of(ViewCondition("model", "is", "none"), limit=50) == []


def test_a_query_that_takes_too_long_is_refused_in_words(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_users(database)
    monkeypatch.setattr(audit_views, "QUERY_S", 0.2)
    monkeypatch.setattr(audit_views, "EXPORT_S", 0.2)
    with as_superuser(database) as admin:
        run(admin, "CREATE OR REPLACE VIEW v_audit AS SELECT a.id AS event_id, a.at, a.actor, a.action, a.subject, a.details, a.chain_seq, "
                   "CASE WHEN pg_sleep(1) IS NULL THEN '' ELSE a.chain_hash END AS chain_hash FROM audit_events a")  # fmt: skip
    with RunningConsole(database, tmp_path) as console, console.browser("auditor") as browser:
        shown, exported = browser.get("/audit/views?view=v_audit"), browser.get("/audit/views/export?view=v_audit")
    for reply in (shown, exported):
        assert reply.status_code == 422
        assert "longer than 0.2 s" in reply.text
        assert "narrow it" in reply.text.lower()
