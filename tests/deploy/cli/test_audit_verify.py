"""`dicom-node audit verify` with anchors: exit status 1, and what is wrong, where events are gone."""

import json
from pathlib import Path

import pytest

from db import audit
from db.anchor import anchor_writer
from db.anchor.anchor_key import load_private_key
from db.engine import Database
from deploy.cli.main import run
from tests.support.records import run as execute
from tests.support.services import as_superuser


def test_deleted_events_end_with_status_1(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for subject in ("one", "two"):
        audit.record_now(database, actor="a", action="b", subject=subject)
    audit.chain(database)
    folder = tmp_path / "data" / "audit"
    anchor_writer.take_anchor(database, folder / "anchor.jsonl", load_private_key(folder / "anchor.key"))
    monkeypatch.setenv("DICOM_NODE_DATABASE__URL", database_url)
    monkeypatch.setenv("DICOM_NODE_NODE__DATA_DIR", str(tmp_path / "data"))
    assert run(["audit", "verify", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["anchors"]) == (True, 1)
    with as_superuser(database) as owner:
        execute(owner, "ALTER TABLE audit_events DISABLE TRIGGER USER; DELETE FROM audit_events WHERE id = 2")
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes((folder / "anchor.jsonl").read_bytes())
    for options in ([], ["--anchor", str(copy), "--public-key", str(folder / "anchor.key.pub")]):
        assert run(["audit", "verify", *options]) == 1
        assert "events were deleted" in capsys.readouterr().err
    assert run(["audit", "verify", "--anchor", str(tmp_path / "absent")]) == 2
