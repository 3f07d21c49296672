"""Backup and restore by the server's own tools: the same rows again, and nothing is overwritten."""

import json
import stat
from pathlib import Path

import pytest

from db import audit
from db.engine import Database
from deploy.cli.main import run


def configured(folder: Path, name: str) -> Path:
    """A configuration of a data folder of its own, where PostgreSQL's user can get to."""
    config = folder / f"{name}.toml"
    config.write_text(f'[node]\ndata_dir = "{folder / name}"\n')
    return config


@pytest.fixture
def reachable(services_dir: Path, request: pytest.FixtureRequest) -> Path:
    folder = services_dir / f"backup-{request.node.name}"
    folder.mkdir(mode=0o755)
    return folder


def test_a_backup_restores_into_another_server(
    reachable: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.record_now(database, actor="test", action="test.written", subject="backup", details={"word": "Käse"})
    audit.chain(database)
    dump = reachable / "node.dump"
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["db", "backup", str(dump)]) == 0
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    assert not dump.with_name("node.dump.part").exists()

    monkeypatch.delenv("DICOM_NODE_DATABASE__URL")
    other = configured(reachable, "other")
    assert run(["db", "restore", str(dump), "--config", str(other)]) == 0
    assert run(["db", "upgrade", "--config", str(other)]) == 0
    capsys.readouterr()
    assert run(["audit", "verify", "--json", "--config", str(other)]) == 0  # no node runs: the server is started for the command
    assert json.loads(capsys.readouterr().out)["chained"] == 1
    again = reachable / "again.dump"
    assert run(["db", "backup", str(again), "--config", str(other)]) == 0
    assert run(["db", "restore", str(again), "--config", str(other)]) == 2  # it is not empty any more


def test_nothing_is_overwritten(
    reachable: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    dump = reachable / "node.dump"
    assert run(["db", "backup", str(dump)]) == 0
    assert run(["db", "restore", str(dump)]) == 2
    assert "already holds a schema" in capsys.readouterr().err


def test_a_dump_that_is_none(reachable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(reachable, "empty")
    assert run(["db", "restore", str(reachable / "absent"), "--config", str(config)]) == 2
    assert "is no file" in capsys.readouterr().err
    rubbish = reachable / "rubbish"
    rubbish.write_text("no dump")
    assert run(["db", "restore", str(rubbish), "--config", str(config)]) == 1
    assert "pg_restore failed" in capsys.readouterr().err


def test_a_server_out_of_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    assert run(["db", "backup", str(tmp_path / "x")]) == 1
    assert "secret" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
