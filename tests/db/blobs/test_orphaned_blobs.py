"""Blobs that no row names go by age, after an event says so; nothing that a row names, or may name soon, goes."""

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
STRAY = b"bytes without a row"
SHA = hashlib.sha256(STRAY).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def old(blobs: Blobs, *hashes: str) -> None:
    """All of them, or these, were written long ago."""
    for path in blobs.root.rglob("*"):
        if path.is_file() and (not hashes or path.name in hashes):
            os.utime(path, (0, 0))


def test_dry_first_then_for_good_with_an_event_and_nothing_else(database: Database, blobs: Blobs) -> None:
    unit = Unit(database, blobs, 1).report()  # an instance and an object that is not delivered
    sender, refused, asked = Sender(database), blobs.put(b"refused"), blobs.put(b"let go")
    quarantine.quarantine_instance(
        database, blob=refused, reason="x", status=0xC000, sop_class_uid="1", sop_instance_uid="2", association_id=sender.id, source="PACS",
        max_bytes=1 << 30,
    )  # fmt: skip
    with database.begin() as connection:
        removals.request_removals(connection, [(asked.sha256, asked.size_bytes)])
    blobs.put(STRAY)
    assert orphaned_blobs.count_orphans(database, blobs, 1) == (0, 0)  # its row may still come
    old(blobs)
    blobs.put(b"without a row, and young")
    assert orphaned_blobs.count_orphans(database, blobs, DAYS) == (1, len(STRAY))
    assert blobs.read(SHA) == STRAY  # dry
    before = scalar(database, "SELECT count(*) FROM audit_events")
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (1, len(STRAY))
    assert not blobs.path(SHA).exists()
    assert unit.kept() == (True, True)
    assert all(blobs.path(one.sha256).exists() for one in (refused, asked))
    assert sum(path.is_file() for path in blobs.root.rglob("*")) == 5
    details = rows(database, "SELECT subject, details FROM audit_events WHERE action = 'retention.removed'")
    assert details == [("blobs", {"rule": "strays", "days": DAYS, "files": 1, "bytes": len(STRAY)})]
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (0, 0)
    assert scalar(database, "SELECT count(*) FROM audit_events") == int(str(before)) + 1
    audit.chain(database)
    assert audit.verify(database).broken is None


def test_no_more_than_were_asked_for(database: Database, blobs: Blobs) -> None:
    for number in range(5):
        blobs.put(b"%d" % number)
    old(blobs)
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=2) == (2, 2)
    assert orphaned_blobs.count_orphans(database, blobs, DAYS) == (3, 3)


def test_what_comes_again_while_it_is_removed_is_kept(database: Database, blobs: Blobs) -> None:
    """Both at once, again and again: who was told that the bytes are safe finds them."""
    for _ in range(30):
        blobs.put(STRAY)
        old(blobs)
        start = threading.Barrier(2)
        gone: list[int] = []

        def sweep(start: threading.Barrier = start, gone: list[int] = gone) -> None:
            start.wait()
            gone.append(orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10)[0])

        thread = threading.Thread(target=sweep)
        thread.start()
        start.wait()
        blobs.put(STRAY)
        thread.join()
        assert blobs.read(SHA) == STRAY
        assert gone in ([0], [1])


def test_it_is_looked_at_again_while_nobody_else_can_name_it(database: Database, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes came again after they were found and before they go."""
    blobs.put(STRAY)
    old(blobs)
    found = orphaned_blobs._orphans

    def meanwhile(*given: object) -> object:
        yield from list(found(*given))  # type: ignore[arg-type]
        blobs.put(STRAY)

    monkeypatch.setattr(orphaned_blobs, "_orphans", meanwhile)
    assert orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=10) == (0, 0)
    assert blobs.read(SHA) == STRAY


def test_a_name_that_is_taken_waits_until_nobody_is_alone(blobs: Blobs) -> None:
    blobs.put(STRAY)
    with blobs.exclusive():
        thread = threading.Thread(target=blobs.put, args=(STRAY,))
        thread.start()
        blobs.put(b"a name of its own waits for nobody")
        thread.join(0.2)
        assert thread.is_alive()
        blobs.unlink(SHA)
    thread.join(20)
    assert blobs.read(SHA) == STRAY


def test_the_database_of_another_folder_removes_nothing(database: Database, blobs: Blobs) -> None:
    for number in range(orphaned_blobs.FEW_BLOBS + 1):
        blobs.put(b"%d" % number)
    old(blobs)
    for act in (
        lambda: orphaned_blobs.count_orphans(database, blobs, DAYS),
        lambda: orphaned_blobs.remove_orphans(database, blobs, DAYS, actor="t", limit=1000),
    ):
        with pytest.raises(StorageError, match="101 of 101 blobs have no row"):
            act()
    assert sum(path.is_file() for path in blobs.root.rglob("*")) == orphaned_blobs.FEW_BLOBS + 1
