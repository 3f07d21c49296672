"""Quarantine: repetitions are counted, the size is limited, and no blob that is needed elsewhere is removed."""

from pathlib import Path
from uuid import uuid4

from db.blobs import removals
from db.blobs.store import Blobs
from db.engine import Database
from db.listings.quarantine import list_quarantined
from db.receive.quarantine import quarantine_instance
from tests.support.records import Sender, blob


def test_the_size_is_limited_and_repetitions_are_counted(database: Database) -> None:
    def refuse(content: str) -> list[str]:
        return quarantine_instance(
            database, blob=blob(content), reason="cannot be parsed", status=0xC000, sop_class_uid="", sop_instance_uid="1.2",
            association_id=uuid4(), source="PACS", max_bytes=25,
        )  # fmt: skip

    assert refuse("first 10 b") == []
    assert refuse("first 10 b") == []
    assert refuse("second 10b") == []
    assert refuse("third 10 b") == [blob("first 10 b").sha256]
    assert refuse("far too large for any of it") == [
        blob(text).sha256 for text in ("second 10b", "third 10 b", "far too large for any of it")
    ]
    assert list_quarantined(database, 10) == []
    refuse("third 10 b")
    refuse("third 10 b")
    assert [item.times for item in list_quarantined(database, 10)] == [2]


def test_the_blob_of_an_instance_is_not_removed_with_the_quarantine(database: Database, tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    blobs.put(b"both")
    Sender(database).send(1, content="both")
    removed = quarantine_instance(
        database, blob=blob("both"), reason="x", status=0xA900, sop_class_uid="", sop_instance_uid="", association_id=uuid4(),
        source="PACS", max_bytes=0,
    )  # fmt: skip
    assert removed == [blob("both").sha256]
    assert removals.remove_blobs(database, blobs, removed) == 0
    assert blobs.has(blob("both").sha256)
