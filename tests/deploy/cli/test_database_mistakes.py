"""Commands on a database that lacks the schema, or on none, say so in one line."""

from pathlib import Path

import pytest

from db.engine import Database
from deploy.cli.main import run
from deploy.database_mistakes import describe_mistake


@pytest.mark.parametrize(
    "command",
    [
        *("jobs list", "deliveries list", "quarantine list", "rules unrouted", "users list", "models list", "results export"),
        *("audit verify", "audit export", "audit months", "audit archive 2026_01 --to .", "retention run", "users link somebody"),
        "db auditor somebody",
    ],
)
def test_a_database_without_schema(
    command: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", postgres_url)  # the empty database of the server
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "run `dicom-node db upgrade`" in err


def test_the_backup_of_an_empty_database_is_noticed(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", postgres_url)
    assert run(["db", "backup", str(tmp_path / "node.dump")]) == 0
    assert "is database.url the right one?" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["jobs list", "db backup node.dump", "users list", "worker", "reload"])
def test_no_database_at_all(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The usual reason is that --config is missing: the folder that was looked at is named in full."""
    monkeypatch.chdir(tmp_path)
    assert run(command.split()) == 2
    err = capsys.readouterr().err
    assert str(tmp_path / "data") in err
    assert "--config FILE" in err
    assert list(tmp_path.iterdir()) == []


def test_a_restore_of_nothing_makes_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["db", "restore", "node.dump"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_asked_for_on_a_terminal_only(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database.engine.url.render_as_string(hide_password=False))
    assert run(["users", "add", "anna", "--role", "admin"]) == 2
    assert "add --password-stdin" in capsys.readouterr().err


def test_another_error_is_no_mistake() -> None:
    assert describe_mistake(ValueError("relation does not exist")) is None
