"""``quarantine list`` and ``quarantine requeue``."""

import json
from pathlib import Path
from uuid import UUID

import pytest

from db.blobs.blob_ref import BlobRef
from db.blobs.store import Blobs
from db.engine import Database
from db.receive.associations import open_association
from db.receive.quarantine import quarantine_instance
from deploy.cli.main import run
from tests.support.records import rows
from tests.support.series import encoded, image

pytestmark = pytest.mark.services


def test_refused_data_sets_are_listed_with_the_reason(
    database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    association = UUID(int=7)
    open_association(database, id=association, calling_ae="PACS", called_ae="NODE", address="127.0.0.1", listener="test", lease_s=60)
    for _ in range(2):  # senders retry
        quarantine_instance(
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


def test_requeue_admits_what_is_readable_and_keeps_the_rest(
    database: Database, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    association = UUID(int=8)
    open_association(database, id=association, calling_ae="PACS", called_ae="NODE", address="127.0.0.1", listener="test", lease_s=60)
    blobs = Blobs(tmp_path / "data" / "blobs")
    good = image()
    for content in (encoded(good), b"never a data set"):
        quarantine_instance(
            database, blob=blobs.put(content), reason="an older version could not read it", status=0xC000,
            sop_class_uid=str(good.SOPClassUID),
            sop_instance_uid=str(good.SOPInstanceUID), association_id=association, source="PACS", max_bytes=1 << 20,
        )  # fmt: skip
    config = tmp_path / "node.toml"
    config.write_text(f'[database]\nurl = "{database_url}"\n')
    assert run(["quarantine", "requeue", "3", "1", "2", "1", "--config", str(config)]) == 2  # there is no 3
    *errors, last = capsys.readouterr().err.strip().splitlines()
    assert "there is no quarantined data set 3" in last
    assert len(errors) == 2
    assert errors[0] == "1: taken, new"
    assert errors[1].startswith("2: refused again: ")
    assert rows(database, "SELECT id FROM quarantine") == [(2,)]
    assert rows(database, "SELECT source, state, held FROM units") == [("PACS", "open", 1)]
    assert rows(database, "SELECT count(*) FROM associations WHERE closed_at IS NULL AND address = 'quarantine'") == [(0,)]
    assert rows(database, "SELECT subject FROM audit_events WHERE action = 'quarantine.requeued'") == [("quarantine:1",)]
    assert run(["quarantine", "requeue", "1", "--config", str(config)]) == 2  # it is there no more
    assert run(["quarantine", "requeue", "2", "--config", str(config)]) == 1


def test_the_size_limit_deletes_only_the_oldest(database: Database) -> None:
    association = UUID(int=9)
    open_association(database, id=association, calling_ae="PACS", called_ae="NODE", address="127.0.0.1", listener="test", lease_s=60)

    def refuse(name: str, size: int) -> list[str]:
        return quarantine_instance(
            database, blob=BlobRef(name * 64, size), reason="x", status=0xC000, sop_class_uid="", sop_instance_uid="",
            association_id=association, source="PACS", max_bytes=100,
        )  # fmt: skip

    assert [refuse("a", 40), refuse("b", 40), refuse("c", 20)] == [[], [], []]
    assert refuse("d", 1) == ["a" * 64]
    assert refuse("b", 40) == []  # again: it is the newest now
    assert refuse("e", 60) == ["c" * 64, "d" * 64]
    assert refuse("f", 101) == ["b" * 64, "e" * 64, "f" * 64]
