"""Backup and restore: the same rows, and nothing is overwritten."""

import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db import audit
from db.accounts.api_tokens import add_token, find_token
from db.accounts.invitations import find_invitation, invite_user
from db.accounts.sessions import SessionLimits, find_session, open_session
from db.accounts.sign_in_links import is_valid_sign_in_link, make_sign_in_link
from db.accounts.users import add_user, find_user
from db.engine import Database
from deploy.cli.main import run
from deploy.local.database.backup import _client_program, _libpq_environment, _run
from deploy.local.database.database_roles import ADMIN
from deploy.local.database.maintenance_database import maintenance_database
from deploy.settings_file import load_settings
from tests.support.services import as_role


def write_config(parent: Path, name: str) -> Path:
    """Write the configuration of a data folder of its own, which PostgreSQL's user can reach."""
    config = parent / f"{name}.toml"
    config.write_text(f'[node]\ndata_dir = "{parent / name}"\n')
    return config


@contextmanager
def opened_as_node(config: Path) -> Iterator[Database]:
    """Open the database of a data folder in which no node runs."""
    with maintenance_database(load_settings(config, {})) as url, Database.open(url, pool_size=1) as database:
        yield database


@pytest.fixture
def folder(services_dir: Path, request: pytest.FixtureRequest) -> Path:
    folder = services_dir / f"backup-{request.node.name}"
    folder.mkdir(mode=0o755)
    return folder


def test_of_several_servers_the_primary_is_dumped() -> None:
    environment = _libpq_environment("postgresql://u:p%40@db1:1,db2/d")
    assert [environment[key] for key in ("PGHOST", "PGPORT", "PGPASSWORD")] == ["db1,db2", "1,5432", "p@"]
    assert environment["PGTARGETSESSIONATTRS"] == "read-write"


def test_the_checks_of_the_server_are_those_of_the_url() -> None:
    """Else a backup goes to whoever answers, although the node itself verifies the server."""
    environment = _libpq_environment("postgresql://u@db/a%20b?sslmode=verify-full&sslrootcert=/etc/ca.pem&options=-c%20a%3Db")
    names = ("PGSSLMODE", "PGSSLROOTCERT", "PGOPTIONS", "PGDATABASE")
    assert [environment.get(name) for name in names] == ["verify-full", "/etc/ca.pem", "-c a=b", "a b"]
    several = _libpq_environment("postgresql://u:p@db1:1,db2/d?target_session_attrs=primary")
    assert several["PGTARGETSESSIONATTRS"] == "primary"


def test_a_backup_restores_into_another_server(
    folder: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.record_now(database, actor="test", action="test.written", subject="backup", details={"word": "Käse"})
    add_user(database, name="ada", role="operator", password_hash="", actor="test")
    ada = find_user(database, "ada")
    assert ada is not None
    session = open_session(database, ada, address="", user_agent="")
    link, invitation = make_sign_in_link(database, ada, actor="test"), invite_user(database, name="eve", role="viewer", actor="test")
    token = add_token(database, ada, name="t", scopes=["operations"], days=1, actor="test")
    audit.chain(database)
    dump = folder / "node.dump"
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["db", "backup", str(dump)]) == 0
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    assert not dump.with_name("node.dump.part").exists()

    monkeypatch.delenv("DICOM_NODE_DATABASE__URL")
    other = write_config(folder, "other")
    assert run(["db", "restore", str(dump), "--config", str(other)]) == 0
    assert "1 sessions, 1 sign in links, 1 invitations, 1 tokens" in capsys.readouterr().err
    assert run(["db", "upgrade", "--config", str(other)]) == 0
    with opened_as_node(other) as restored:
        assert find_session(restored, session, SessionLimits(1e6, 1e6), used=False) is None
        assert not is_valid_sign_in_link(restored, link)
        assert find_invitation(restored, invitation) is None
        assert find_token(restored, token, address="") is None
    capsys.readouterr()
    assert run(["audit", "verify", "--json", "--config", str(other)]) == 0  # no node runs: the server is started for the command
    assert json.loads(capsys.readouterr().out)["chained"] == 6
    second = folder / "second.dump"
    assert run(["db", "backup", str(second), "--config", str(other)]) == 0
    assert run(["db", "restore", str(second), "--config", str(other)]) == 2  # it is not empty any more


def test_a_dump_with_privileges_restores_where_their_roles_are_missing(
    folder: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the command for Docker in docs/operations.md wrote it: `pg_dump` without --no-privileges, by the superuser."""
    audit.record_now(database, actor="test", action="test.written", subject="backup")
    audit.chain(database)
    dump, url = folder / "node.dump", as_role(database_url, ADMIN)
    program = _client_program("pg_dump", database.server_major())
    _run([program, "--format=custom", "--no-owner", "--file", str(dump)], url, "pg_dump")
    monkeypatch.delenv("DICOM_NODE_DATABASE__URL", raising=False)
    other = write_config(folder, "other")
    assert run(["db", "restore", str(dump), "--config", str(other)]) == 0, capsys.readouterr().err
    assert run(["audit", "verify", "--config", str(other)]) == 0


def test_nothing_is_overwritten(
    folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    dump = folder / "node.dump"
    assert run(["db", "backup", str(dump)]) == 0
    assert run(["db", "restore", str(dump)]) == 2
    assert "already has a schema" in capsys.readouterr().err


def test_a_folder_that_is_absent_is_one_line(
    folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["db", "backup", str(folder / "absent" / "node.dump")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_file_that_is_not_a_dump(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(folder, "empty")
    assert run(["db", "restore", str(folder / "absent"), "--config", str(config)]) == 2
    assert "is not a file" in capsys.readouterr().err
    rubbish = folder / "rubbish"
    rubbish.write_text("not a dump")
    assert run(["db", "restore", str(rubbish), "--config", str(config)]) == 1
    assert "pg_restore failed" in capsys.readouterr().err


def test_an_unreachable_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert run(["db", "backup", str(tmp_path / "x")]) == 1
    assert "secret" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
