"""A month that is archived is one file, leaves a chain that verifies with and without it, and can be put back."""

import gzip
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.errors import ChainBroken, ConfigurationError, StorageError
from db import audit
from db.anchor import anchor_writer
from db.anchor.anchor_key import load_private_key, public_key_file
from db.anchor.verification import verify_with_anchors
from db.audit_archive.month_archive import archive_month, open_archives, restore_month
from db.audit_archive.months import list_months
from db.engine import Database
from tests.support.records import rows, run, scalar
from tests.support.services import as_superuser

ADD = (
    "INSERT INTO audit_events (at, actor, action, subject, details) VALUES ('{}', 'a', 'test', 'c', '{{\"n\": 1e5, \"ü\": [\"Ü\", null]}}')"
)


@pytest.fixture
def trail(database: Database) -> Iterator[Database]:
    """A chained trail of three months, read by a superuser. Event 3 is of March and was chained in April."""
    with as_superuser(database) as owner:
        run(owner, "SELECT audit_add_month('2021-03-01'), audit_add_month('2021-04-01'), audit_add_month('2021-05-01')")
        for at in ("2021-03-05", "2021-04-01", "2021-03-31T23:59:59Z", "2021-04-30", "2021-05-01"):
            run(owner, ADD.format(at))
            audit.chain(owner)
        yield owner


def test_an_archived_month_is_gone_and_the_chain_verifies_with_and_without_its_file(trail: Database, tmp_path: Path) -> None:
    events = rows(trail, "SELECT * FROM audit_events ORDER BY id")
    file = archive_month(trail, "2021_03", tmp_path, actor="cli:admin")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    audit.chain(trail)
    assert scalar(trail, "SELECT to_regclass('audit_events_2021_03')") is None
    assert [id for (id,) in rows(trail, "SELECT id FROM audit_events ORDER BY id")] == [2, 4, 5, 6]
    without, complete = audit.verify(trail), audit.verify(trail, archives=open_archives(trail, [file]))
    assert (without.ok, without.chained, without.archived) == (True, 4, 2)
    assert (complete.ok, complete.chained, complete.archived) == (True, 6, 0)
    assert without.head == complete.head
    (details,) = rows(trail, "SELECT details FROM audit_events WHERE action = 'audit.archived'")[0]
    assert [(run["first"], run["last"]) for run in details["runs"]] == [(1, 1), (3, 3)]
    assert details["sha256"] == next(month.sha256 for month in list_months(trail) if month.name == "2021_03")
    assert restore_month(trail, file, actor="cli:admin") == "2021_03"
    assert rows(trail, "SELECT * FROM audit_events WHERE id <= 5 ORDER BY id") == events
    audit.chain(trail)
    assert (audit.verify(trail).chained, audit.verify(trail).archived) == (7, 0)
    assert scalar(trail, "SELECT tableoid::regclass::text FROM audit_events WHERE id = 1") == "audit_events_2021_03"


def test_months_that_follow_each_other_are_archived_and_the_file_alone_is_readable(trail: Database, tmp_path: Path) -> None:
    files = [archive_month(trail, name, tmp_path, actor="a") for name in ("2021_03", "2021_04")]
    audit.chain(trail)
    assert (audit.verify(trail).ok, audit.verify(trail).archived) == (True, 4)
    assert (audit.verify(trail, archives=open_archives(trail, files)).chained) == 7
    assert audit.verify(trail, archives=open_archives(trail, files[1:])).archived == 2
    assert gzip.decompress(files[0].read_bytes()).count(b"\n") == 3


def test_rows_that_are_missing_beside_an_archive_are_found(trail: Database, tmp_path: Path) -> None:
    archive_month(trail, "2021_03", tmp_path, actor="a")
    run(trail, "SET session_replication_role = replica; DELETE FROM audit_events WHERE id = 2; RESET session_replication_role")
    check = audit.verify(trail)
    assert (check.broken, check.ok) == (4, False)


def test_a_changed_file_and_a_wrong_entry_are_found(trail: Database, tmp_path: Path) -> None:
    file = archive_month(trail, "2021_03", tmp_path, actor="a")
    content = file.read_bytes()
    file.write_bytes(gzip.compress(gzip.decompress(content).replace(b'"actor":"a"', b'"actor":"b"')))
    with pytest.raises(ChainBroken, match="is not the file that was archived"):
        open_archives(trail, [file])
    with pytest.raises(ChainBroken, match="is not the file that was archived"):
        restore_month(trail, file, actor="a")
    file.write_bytes(content)
    run(trail, "UPDATE audit_months SET runs = jsonb_set(runs, '{1,head}', to_jsonb(repeat('1', 64))) WHERE name = '2021_03'")
    assert audit.verify(trail).broken == 4
    assert audit.verify(trail, archives=open_archives(trail, [file])).ok


@pytest.mark.parametrize(
    ("name", "statement", "message"),
    [
        (datetime.now(UTC).strftime("%Y_%m"), "", "has not ended"),
        ("2030_01", "", "does not exist"),
        ("2021_05", "", "no event after the month 2021_05 is chained"),
        ("2021_04", ADD.format("2021-04-02"), "not chained yet"),
        ("2021_04", "INSERT INTO audit_anchor (number, hash) VALUES (4, 'x')", "no event after the month 2021_04 is anchored"),
    ],
)
def test_a_month_that_cannot_be_archived_stays(trail: Database, tmp_path: Path, name: str, statement: str, message: str) -> None:
    if statement:
        run(trail, statement)
    with pytest.raises(ConfigurationError, match=message):
        archive_month(trail, name, tmp_path, actor="a")
    assert list(tmp_path.iterdir()) == []


def test_a_month_whose_chain_is_broken_is_not_removed(trail: Database, tmp_path: Path) -> None:
    run(trail, "SET session_replication_role = replica; UPDATE audit_events SET actor = 'x' WHERE id = 3; RESET session_replication_role")
    with pytest.raises(ChainBroken, match="event 3"):
        archive_month(trail, "2021_03", tmp_path, actor="a")
    assert scalar(trail, "SELECT count(*) FROM audit_events") == 5


def test_a_reader_of_the_trail_is_not_waited_for(trail: Database, database: Database, tmp_path: Path) -> None:
    with database.begin() as reader:
        rows_of = reader.exec_driver_sql("SELECT count(*) FROM audit_events").scalar_one()
        assert rows_of == 5
        with pytest.raises(StorageError, match="lock timeout"):
            archive_month(trail, "2021_03", tmp_path, actor="a")
    assert scalar(trail, "SELECT count(*) FROM audit_events") == 5


def test_anchors_of_archived_events_are_compared_with_the_file(trail: Database, tmp_path: Path) -> None:
    path, key = tmp_path / "anchor.jsonl", tmp_path / "anchor.key"
    anchor_writer.take_anchor(trail, path, load_private_key(key))
    run(trail, ADD.format("2021-05-02"))
    audit.chain(trail)
    anchor_writer.take_anchor(trail, path, load_private_key(key))
    files = [archive_month(trail, name, tmp_path, actor="a") for name in ("2021_03", "2021_04")]
    for given in ([], files):
        check = verify_with_anchors(trail, path, public_key_file(key), archives=open_archives(trail, given))
        assert (check.ok, check.anchors) == (True, 2)
