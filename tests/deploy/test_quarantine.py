"""The administrator sees what was refused, and why."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from db.base import Database
from db.intake import open_association
from db.quarantine import quarantine
from db.records import BlobRef
from deploy.cli.main import run

pytestmark = pytest.mark.services


def test_what_was_refused_is_listed_with_the_reason(
    database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    association = UUID(int=7)
    open_association(database, id=association, calling_ae="PACS", called_ae="NODE", address="127.0.0.1", listener="test", lease_s=60)
    for _ in range(2):  # senders retry
        quarantine(
            database,
            blob=BlobRef("a" * 64, 10),
            reason="the data set cannot be parsed",
            status=0xC000,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            sop_instance_uid="1.2.3",
            association_id=association,
            source="PACS",
            max_bytes=1000,
        )
    config = tmp_path / "node.toml"
    config.write_text(f'[database]\nurl = "{database_url}"\n')
    assert run(["quarantine", "list", "--config", str(config), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["status"], row["reason"], row["source"], row["times"]) == ("0xC000", "the data set cannot be parsed", "PACS", 2)
