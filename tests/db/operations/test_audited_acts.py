"""Starts and stops of roles, configurations, exports, backups and restores are audit events."""

import hashlib
import json
from pathlib import Path

import pytest

from db import audit
from db.anchor import anchor_writer
from db.anchor.anchor_key import load_private_key
from db.engine import Database
from db.operations.configuration_audit import record_configuration, record_reload
from db.roles.role_heartbeat import RoleHeartbeat
from deploy.cli.main import run
from tests.support.node_process import wait_until
from tests.support.records import rows, scalar


def test_start_and_stop_of_a_role(database: Database) -> None:
    query = "SELECT action FROM audit_events WHERE subject = 'role:conduct' AND actor = 'conduct' ORDER BY id"
    with RoleHeartbeat(database, "conduct", dict):
        wait_until("the start", lambda: rows(database, query) == [("role.started",)], every_s=0.05)
    assert rows(database, query) == [("role.started",), ("role.stopped",)]


def test_a_configuration_is_recorded_once_until_it_changes(database: Database) -> None:
    assert record_configuration(database, actor="up", digest="aa")
    assert not record_configuration(database, actor="listen", digest="aa")
    record_reload(database, role="listen", digest="bb", changed=["sources"], restart=[])
    assert not record_configuration(database, actor="listen", digest="bb")
    assert record_configuration(database, actor="up", digest="aa")
    query = "SELECT actor, details ->> 'sha256', details ->> 'before' FROM audit_events WHERE action = 'configuration.used' ORDER BY id"
    assert rows(database, query) == [("up", "aa", None), ("up", "aa", "bb")]


def test_exports_and_backups_of_the_command_line(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    assert run(["results", "export", "--since", "2026-01-01"]) == 0
    capsys.readouterr()
    assert run(["audit", "export", "--json"]) == 0
    assert [event["action"] for event in json.loads(capsys.readouterr().out)] == ["results.exported", "audit.exported"]
    dump = tmp_path / "node.dump"
    assert run(["db", "backup", str(dump)]) == 0
    assert rows(database, "SELECT action, details ->> 'since' FROM audit_events WHERE action LIKE '%exported' ORDER BY id") == [
        ("results.exported", "2026-01-01"),
        ("audit.exported", ""),
    ]
    digest = hashlib.sha256(dump.read_bytes()).hexdigest()
    assert scalar(database, "SELECT details ->> 'sha256' FROM audit_events WHERE action = 'database.backed_up'") == digest


def test_a_restore_is_recorded_and_named_by_the_verification(
    services_dir: Path, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = services_dir / "restored"
    folder.mkdir(mode=0o755)
    dump = folder / "node.dump"
    kept = folder / "data" / "audit"
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    for digest in ("aa", "bb"):  # one event before the backup, two that it does not hold, its own among them
        record_configuration(database, actor="up", digest=digest)
        audit.chain(database)
        if digest == "aa":
            assert run(["db", "backup", str(dump)]) == 0
    assert anchor_writer.take_anchor(database, kept / "anchor.jsonl", load_private_key(kept / "anchor.key")) is not None
    monkeypatch.delenv("DICOM_NODE_DATABASE__URL")
    config = folder / "node.toml"
    config.write_text(f'[node]\ndata_dir = "{folder / "data"}"\n')
    assert run(["db", "restore", str(dump), "--config", str(config)]) == 0
    capsys.readouterr()
    assert run(["audit", "verify", "--json", "--config", str(config)]) == 0
    assert "2 later events are gone" in json.loads(capsys.readouterr().out)["restored"][0]
    assert run(["audit", "export", "--json", "--config", str(config)]) == 0
    restored = [event for event in json.loads(capsys.readouterr().out) if event["action"] == "database.restored"]
    assert [event["details"]["sha256"] for event in restored] == [hashlib.sha256(dump.read_bytes()).hexdigest()]
