"""``doctor`` names settings of PostgreSQL with which a loss of power would undo or damage what was committed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

from core.settings.settings import Settings
from db.engine import Database
from deploy.doctor.check import Check
from deploy.doctor.services import check_database
from deploy.local.database.database_roles import ADMIN, role_url
from deploy.local.embedded import postgres
from tests.support.memory_folder import memory_folder

FIX = "set fsync = on and full_page_writes = on in postgresql.conf"


@pytest.fixture
def folder() -> Iterator[Path]:
    made = memory_folder()
    yield made / "postgres"
    shutil.rmtree(made)


def durability(url: str) -> Check:
    settings = Settings.model_validate({"database": {"url": url}})
    return next(check for check in check_database(settings, running=False) if check.name == "database durability")


def test_a_server_that_keeps_what_it_has_committed(database: Database) -> None:
    check = durability(database.engine.url.render_as_string(hide_password=False))
    assert (check.ok, check.found, check.fix) == (True, "fsync on, full_page_writes on", "")


def test_a_server_that_may_lose_what_it_has_committed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the schema is there, too; and where its settings cannot be read."""
    kept = [setting for setting in postgres.SETTINGS if setting != "fsync=on"]
    monkeypatch.setattr(postgres, "SETTINGS", (*kept, "fsync=off"))
    server = postgres.EmbeddedPostgres(folder)
    url = server.start()
    try:
        administrator = psycopg2.connect(role_url(folder, ADMIN, urlsplit(url).port or 0))
        administrator.autocommit = True
        cursor = administrator.cursor()
        check = durability(url)
        assert (check.ok, check.found) == (False, "fsync off, full_page_writes on")
        assert check.fix.startswith(FIX)
        cursor.execute("REVOKE EXECUTE ON FUNCTION current_setting(text, boolean) FROM PUBLIC")
        check = durability(url)
        assert (check.ok, check.found) == (False, "cannot be read: permission denied for function current_setting")
        assert "fsync = on and full_page_writes = on" in check.fix
        administrator.close()
    finally:
        server.stop()
