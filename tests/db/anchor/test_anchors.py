"""Anchors find what the chain cannot: events deleted at its end, a chain written anew, an emptied table; as owner, without triggers."""

import json
import stat
from pathlib import Path

import pytest

from core.errors import ConfigurationError
from db import audit
from db.anchor import anchor_writer
from db.anchor.anchor_file import SignedLine
from db.anchor.anchor_key import _make, load_private_key, load_public_key, public_key_file
from db.anchor.anchor_state import events_since_anchor, last_anchor
from db.anchor.verification import verify_with_anchors
from db.engine import Database
from tests.support.records import run, scalar
from tests.support.services import as_superuser


def add(database: Database, count: int) -> None:
    """Record and link some events."""
    for number in range(count):
        audit.record_now(database, actor="admin", action="test.done", subject=f"thing:{number}")
    audit.chain(database)


def take(database: Database, folder: Path) -> SignedLine | None:
    """Take an anchor."""
    return anchor_writer.take_anchor(database, folder / "anchor.jsonl", load_private_key(folder / "anchor.key"))


def verify(database: Database, folder: Path) -> audit.ChainCheck:
    """Verify with the anchors of the folder."""
    return verify_with_anchors(database, folder / "anchor.jsonl", public_key_file(folder / "anchor.key"))


def as_owner(database: Database, *statements: str) -> None:
    """Change the trail as its owner, with the triggers disabled."""
    with as_superuser(database) as owner:
        run(owner, "SET LOCAL session_replication_role = replica; SET ROLE dicom_node_audit; " + "; ".join(statements))


@pytest.fixture
def anchored(database: Database, tmp_path: Path) -> Database:
    """Six events, of which the first three and then all were anchored."""
    for _ in range(2):
        add(database, 3)
        assert take(database, tmp_path) is not None
    return database


def test_an_anchored_chain_verifies(anchored: Database, tmp_path: Path) -> None:
    assert take(anchored, tmp_path) is None  # nothing was added
    found = verify(anchored, tmp_path)
    assert (found.ok, found.anchors, found.chained, found.anchor_problem) == (True, 2, 6, "")
    state = last_anchor(anchored)
    assert state is not None
    assert (state.number, state.hash, state.problem) == (6, found.head, "")
    add(anchored, 1)
    assert events_since_anchor(anchored) == 1
    assert verify(anchored, tmp_path).ok
    assert stat.S_IMODE((tmp_path / "anchor.key").stat().st_mode) == 0o600


def test_deleting_the_last_events_is_found(anchored: Database, tmp_path: Path) -> None:
    as_owner(anchored, "DELETE FROM audit_events WHERE id > 4")
    assert audit.verify(anchored).ok  # the chain alone does not show it
    found = verify(anchored, tmp_path)
    assert not found.ok
    assert "event 6 was anchored" in found.anchor_problem
    assert "events were deleted" in found.anchor_problem


def test_a_chain_that_was_written_anew_is_found(anchored: Database, tmp_path: Path) -> None:
    as_owner(
        anchored, "UPDATE audit_events SET actor = 'nobody' WHERE id = 2", "UPDATE audit_events SET chain_seq = NULL, chain_hash = NULL"
    )
    audit.chain(anchored)
    assert audit.verify(anchored).ok
    found = verify(anchored, tmp_path)
    assert "event 3 of the chain has another hash than its anchor" in found.anchor_problem


def test_emptying_the_table_is_found(anchored: Database, tmp_path: Path) -> None:
    as_owner(anchored, "TRUNCATE audit_events")
    assert audit.verify(anchored).ok
    assert "event 6 was anchored" in verify(anchored, tmp_path).anchor_problem
    add(anchored, 9)
    assert "another hash than its anchor" in verify(anchored, tmp_path).anchor_problem


def test_the_node_itself_notices_and_anchors_nothing_more(anchored: Database, tmp_path: Path) -> None:
    as_owner(anchored, "DELETE FROM audit_events WHERE id > 4")
    add(anchored, 1)
    before = (tmp_path / "anchor.jsonl").read_bytes()
    assert take(anchored, tmp_path) is None
    assert (tmp_path / "anchor.jsonl").read_bytes() == before
    state = last_anchor(anchored)
    assert state is not None
    assert "was anchored, is missing" in state.problem


def test_a_changed_anchor_file_is_found(anchored: Database, tmp_path: Path) -> None:
    path = tmp_path / "anchor.jsonl"
    first, second = path.read_bytes().splitlines(keepends=True)
    forged = json.loads(second)
    forged["number"] = 4
    for content, problem in (
        (first + json.dumps(forged).encode() + b"\n", "line 2 of the anchor file is not signed"),
        (second, "does not follow the line before it"),
        (b"{}\n", "line 1 of the anchor file is no anchor"),
    ):
        path.write_bytes(content)
        assert problem in verify(anchored, tmp_path).anchor_problem
    path.unlink()
    assert "is missing, although anchors were written" in verify(anchored, tmp_path).anchor_problem


def test_a_deleted_file_is_not_begun_again_in_silence(anchored: Database, tmp_path: Path) -> None:
    (tmp_path / "anchor.jsonl").unlink()
    add(anchored, 1)
    line = take(anchored, tmp_path)
    assert line is not None
    assert line.anchor.details == {"after": 6}
    events = "SELECT details ->> 'after' FROM audit_events WHERE action = 'audit.anchor_begun'"
    assert scalar(anchored, events) == "6"
    add(anchored, 1)
    assert take(anchored, tmp_path) is not None
    found = verify(anchored, tmp_path)
    assert (found.ok, found.anchors) == (True, 2)
    assert "after event 6 was anchored: earlier anchors" in found.restored[0]
    assert scalar(anchored, "SELECT count(*) FROM audit_events WHERE action = 'audit.anchor_begun'") == 1


def test_deleting_file_and_events_is_noticed_by_the_node(anchored: Database, tmp_path: Path) -> None:
    (tmp_path / "anchor.jsonl").unlink()
    as_owner(anchored, "DELETE FROM audit_events WHERE id > 4")
    assert take(anchored, tmp_path) is None
    assert not (tmp_path / "anchor.jsonl").exists()
    state = last_anchor(anchored)
    assert state is not None
    assert (state.number, state.problem) == (6, "event 6 of the chain, which was anchored, is missing")


def test_another_key_does_not_verify(anchored: Database, tmp_path: Path) -> None:
    load_private_key(tmp_path / "other.key")
    found = verify_with_anchors(anchored, tmp_path / "anchor.jsonl", public_key_file(tmp_path / "other.key"))
    assert "not signed by this key" in found.anchor_problem


def test_of_two_processes_that_make_the_key_the_first_one_wins(tmp_path: Path) -> None:
    """As two roles `send` with one folder do at their first start."""
    path = tmp_path / "anchor.key"
    key = load_private_key(path)
    _make(path)
    public_key_file(path).unlink()  # as a process that is killed between the two files leaves it
    assert load_private_key(path).private_bytes_raw() == key.private_bytes_raw()
    assert load_public_key(public_key_file(path)).public_bytes_raw() == key.public_key().public_bytes_raw()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["anchor.key", "anchor.key.pub"]


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    load_private_key(tmp_path / "anchor.key")
    (tmp_path / "anchor.key").chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_private_key(tmp_path / "anchor.key")


def test_an_incomplete_last_line_is_replaced(anchored: Database, tmp_path: Path) -> None:
    """As a killed writer leaves it."""
    with (tmp_path / "anchor.jsonl").open("ab") as file:
        file.write(b'{"kind": "anc')
    add(anchored, 1)
    assert verify(anchored, tmp_path).ok
    assert take(anchored, tmp_path) is not None
    assert verify(anchored, tmp_path).anchors == 3


def test_a_restore_is_named_and_no_manipulation(anchored: Database, tmp_path: Path) -> None:
    as_owner(anchored, "DELETE FROM audit_events WHERE id > 4")  # as a backup does that was made after event 4
    key = load_private_key(tmp_path / "anchor.key")
    anchor_writer.record_restore(anchored, tmp_path / "anchor.jsonl", key, {"sha256": "00"})
    add(anchored, 2)
    assert take(anchored, tmp_path) is not None
    found = verify(anchored, tmp_path)
    assert found.ok, found.anchor_problem
    assert "ends with event 4: 2 later events are gone" in found.restored[0]


def test_an_anchor_file_of_another_node_is_refused(anchored: Database, tmp_path: Path) -> None:
    with as_superuser(anchored) as owner:
        run(owner, "UPDATE installation SET id = gen_random_uuid()")
    anchored._installation = None
    assert take(anchored, tmp_path) is None
    assert "another installation" in verify(anchored, tmp_path).anchor_problem
    assert "another installation" in str(scalar(anchored, "SELECT problem FROM audit_anchor"))
