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
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        browser.sign_in("auditor")
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
    with RunningConsole(database, tmp_path) as console, console.browser() as browser:
        browser.sign_in("auditor")
        path, shown = f"/audit/views?{query}", []
        for rows_of_page in ("Rows 1 to 100,", "Rows 101 to 200,", "Rows 201 to 250 of 250,"):
            page = browser.get(path).text
            assert rows_of_page in page
            shown += re.findall(r"<td>(row:\d+)</td>", page)
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
