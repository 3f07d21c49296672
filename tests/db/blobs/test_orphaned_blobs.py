"""Orphaned blobs are removed by age, after an audit event; a blob with a row, or one that may get a row soon, is not."""

import hashlib
import os
import threading
from pathlib import Path

import pytest

from core.errors import StorageError
from db import audit
from db.blobs import orphaned_blobs, removals
from db.blobs.store import Blobs
from db.engine import Database
from db.receive import quarantine
from tests.db.operations.test_retention import Unit
from tests.support.records import Sender, rows, scalar

DAYS = 30
ORPHAN = b"bytes without a row"
SHA = hashlib.sha256(ORPHAN).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def make_old(blobs: Blobs, *hashes: str) -> None:
    """Make all blobs, or these, look as if they were written long ago."""
    for path in blobs.root.rglob("*"):
        if path.is_file() and (not hashes or path.name in hashes):
            os.utime(path, (0, 0))


def test_counted_without_a_change_then_removed_with_an_event(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1).report()  # an instance and an object that is not delivered
    sender, refused, requested = Sender(database), blobs.put(b"refused"), blobs.put(b"to be removed")
    quarantine.quarantine_instance(
        database, blob=refused, reason="x", status=0xC000, sop_class_uid="1", sop_instance_uid="2", association_id=sender.id, source="PACS",
        max_bytes=1 << 30,
    )  # fmt: skip
    with database.begin() as connection:
        removals.request_removals(connection, [(requested.sha256, requested.size_bytes)])
    blobs.put(ORPHAN)
    assert orphaned_blobs.count_orphans(database, blobs, 1) == (0, 0)  # its row may still come
    make_old(blobs)
    blobs.put(b"without a row, and young")
    assert orphaned_blobs.count_orphans(database, blobs, DAYS) == (1, len(ORPHAN))
    assert blobs.read(SHA) == ORPHAN  # counting removes nothing
    before = scalar(database, "SELECT count(*) FROM audit_events")
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (1, len(ORPHAN))
    assert not blobs.path(SHA).exists()
    assert unit.kept() == (True, True)
    assert all(blobs.path(ref.sha256).exists() for ref in (refused, requested))
    assert sum(path.is_file() for path in blobs.root.rglob("*")) == 5
    details = rows(database, "SELECT subject, details FROM audit_events WHERE action = 'retention.removed'")
    assert details == [("blobs", {"rule": "strays", "days": DAYS, "files": 1, "bytes": len(ORPHAN)})]
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (0, 0)
    assert scalar(database, "SELECT count(*) FROM audit_events") == int(str(before)) + 1
    audit.chain(database)
    assert audit.verify(database).broken is None


def test_not_more_than_the_limit_are_removed(database: Database, blobs: Blobs) -> None:
    for number in range(5):
        blobs.put(b"%d" % number)
    make_old(blobs)
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=2) == (2, 2)
    assert orphaned_blobs.count_orphans(database, blobs, DAYS) == (3, 3)


def test_content_that_is_written_again_during_the_removal_is_kept(database: Database, blobs: Blobs) -> None:
    """Both at the same time, many times: after `put` has returned, the content can be read."""
    for _ in range(10):
        blobs.put(ORPHAN)
        os.utime(blobs.path(SHA), (0, 0))
        start = threading.Barrier(2)
        removed: list[int] = []

        def sweep(start: threading.Barrier = start, removed: list[int] = removed) -> None:
            start.wait()
            removed.append(orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10)[0])

        thread = threading.Thread(target=sweep)
        thread.start()
        start.wait()
        blobs.put(ORPHAN)
        thread.join()
        assert blobs.read(SHA) == ORPHAN
        assert removed in ([0], [1])


def test_a_blob_is_checked_again_under_the_exclusive_lock(database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is written again after it was found and before it is removed."""
    blobs.put(ORPHAN)
    make_old(blobs)
    found = orphaned_blobs._orphans

    def write_again(*given: object) -> object:
        yield from list(found(*given))  # type: ignore[arg-type]
        blobs.put(ORPHAN)

    monkeypatch.setattr(orphaned_blobs, "_orphans", write_again)
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (0, 0)
    assert blobs.read(SHA) == ORPHAN


def test_replacing_a_blob_waits_for_the_exclusive_lock(blobs: Blobs) -> None:
    blobs.put(ORPHAN)
    with blobs.exclusive():
        thread = threading.Thread(target=blobs.put, args=(ORPHAN,))
        thread.start()
        blobs.put(b"a new name does not wait")
        thread.join(0.2)
        assert thread.is_alive()
        blobs.unlink(SHA)
    thread.join(600)
    assert blobs.read(SHA) == ORPHAN


def test_nothing_is_removed_with_the_database_of_another_folder(database: Database, blobs: Blobs) -> None:
    for number in range(orphaned_blobs.FEW_BLOBS + 1):
        blobs.put(b"%d" % number)
    make_old(blobs)
    for act in (
        lambda: orphaned_blobs.count_orphans(database, blobs, DAYS),
        lambda: orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=1000),
    ):
        with pytest.raises(StorageError, match="101 of 101 blobs have no row"):
            act()
    assert sum(path.is_file() for path in blobs.root.rglob("*")) == orphaned_blobs.FEW_BLOBS + 1
