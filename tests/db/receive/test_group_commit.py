"""Group commit: many instances at once, and errors of one of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from random import Random
from threading import Barrier, Event
from uuid import uuid4

import psycopg2
import pytest
from sqlalchemy import text

from core.errors import StorageError
from core.failpoints import set_watcher
from core.states import UnitKind
from db.blobs.blob_ref import BlobRef
from db.complete import units
from db.engine import Database
from db.receive.admission import Admission, AdmissionResult
from db.receive.group_commit import CONNECTIONS, GroupAdmitter
from tests.support.records import Sender, blob, complete, header, plan, run, scalar, unit_of

_LOCK = text("SELECT u.id FROM units u JOIN series s ON s.id = u.series_id WHERE s.series_instance_uid = :uid FOR UPDATE OF u")


def safe() -> None:
    """The bytes are on disk."""


def admit(
    admitter: GroupAdmitter, sender: Sender, number: int, *, content: str = "", sync: Callable[[], object] = safe, **where: str
) -> Admission:
    head = header(number, **where)
    kept = blob(content or f"content of {head.sop_instance_uid}")
    return admitter.admit(header=head, blob=kept, kind=UnitKind.SERIES, association_id=sender.id, source=sender.ae, sync=sync)


@pytest.fixture
def admitter(database: Database):  # type: ignore[no-untyped-def]
    made = GroupAdmitter(database)
    yield made
    made.close()


def admit_as_one_group(
    database: Database, admitter: GroupAdmitter, pool: ThreadPoolExecutor, sender: Sender, numbers: list[int]
) -> list[Admission]:
    """Admit these while a locked unit delays every connection; when one connection is free, what waits becomes one group."""
    for number in range(CONNECTIONS):
        sender.send(1, series=f"1.7.{number}", study="1.6")
    first, locks = [], []
    with ExitStack() as stack:
        for number in range(CONNECTIONS):
            locks.append(stack.enter_context(ExitStack()))
            connection = locks[-1].enter_context(database.begin())
            connection.execute(_LOCK, {"uid": f"1.7.{number}"})
            grouped = Event()
            set_watcher(lambda label, _subject, grouped=grouped: grouped.set() if label == "receive.grouped" else None)  # type: ignore[misc]
            first.append(pool.submit(admit, admitter, sender, 2, series=f"1.7.{number}", study="1.6"))
            assert grouped.wait(600)
        set_watcher(None)
        others = [pool.submit(admit, admitter, sender, number, series=f"1.8.{number % 3}", study="1.5") for number in numbers]
        while len(admitter._queue) < len(numbers):
            Event().wait(0.01)
        locks[0].close()
        found = [other.result(600) for other in others]
    for pending in first:
        pending.result(600)
    return found


def test_instances_that_wait_are_committed_in_one_transaction(database: Database, admitter: GroupAdmitter) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = admit_as_one_group(database, admitter, pool, Sender(database), list(range(1, 10)))
    assert [one.result for one in found] == [AdmissionResult.NEW] * 9
    assert len({one.instance_id for one in found}) == 9
    assert scalar(database, "SELECT count(DISTINCT xmin::text) FROM instances WHERE sop_instance_uid LIKE '1.8.%'") == 1
    assert [(unit.series_instance_uid, unit.held) for unit in units.units_of_study(database, "1.5")] == [
        ("1.8.0", 3),
        ("1.8.1", 3),
        ("1.8.2", 3),
    ]
    for one in found:  # each gets its own row
        assert scalar(database, f"SELECT unit_id FROM instances WHERE id = {one.instance_id}") == one.unit_id
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE action = 'instance.received'") == 9 + 2 * CONNECTIONS


def test_the_same_instance_on_every_association_of_a_group(database: Database, admitter: GroupAdmitter) -> None:
    with ThreadPoolExecutor(12) as pool:
        found = admit_as_one_group(database, admitter, pool, Sender(database), [1] * 6)
    assert sorted(one.result for one in found) == [AdmissionResult.DUPLICATE] * 5 + [AdmissionResult.NEW]
    assert {one.instance_id for one in found} == {found[0].instance_id}


def test_an_instance_that_the_database_refuses_fails_alone(database: Database, admitter: GroupAdmitter) -> None:
    sender, barrier = Sender(database), Barrier(6)

    def send(number: int) -> Admission | Exception:
        barrier.wait()
        try:
            if number != 3:
                return admit(admitter, sender, number)
            huge = BlobRef("e" * 64, 2**70)
            return admitter.admit(header=header(3), blob=huge, kind=UnitKind.SERIES, association_id=sender.id, source="PACS", sync=safe)
        except Exception as error:
            return error

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(send, range(1, 7)))
    assert [isinstance(one, Admission) and one.result is AdmissionResult.NEW for one in found] == [True, True, False, True, True, True]
    assert scalar(database, "SELECT held FROM units") == 5


def test_new_revision_undecided_and_duplicate_as_in_single_admission(database: Database, admitter: GroupAdmitter) -> None:
    sender = Sender(database)
    assert admit(admitter, sender, 1, content="as it was").result is AdmissionResult.NEW
    complete(database, plan())
    assert admit(admitter, sender, 1, content="as it was").result is AdmissionResult.DUPLICATE
    assert admit(admitter, sender, 1, content="changed").result is AdmissionResult.UNDECIDED
    late = admit(admitter, sender, 2)
    assert (late.result, late.revision, unit_of(database).revision, unit_of(database).held) == (AdmissionResult.NEW, 2, 2, 2)


def test_a_server_that_closed_all_connections_loses_no_instance(database: Database, admitter: GroupAdmitter) -> None:
    sender = Sender(database)
    assert admit(admitter, sender, 1).result is AdmissionResult.NEW
    with database.begin() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()")
        )
    assert admit(admitter, sender, 2).result is AdmissionResult.NEW
    assert unit_of(database).held == 2


def test_a_locked_unit_does_not_delay_other_units(database: Database, admitter: GroupAdmitter) -> None:
    sender = Sender(database)
    sender.send(1)
    with ThreadPoolExecutor(1) as pool, database.begin() as connection:
        connection.execute(text("SELECT id FROM units FOR UPDATE"))
        stuck = pool.submit(admit, admitter, sender, 2)
        while admitter._idle and len(admitter._idle) == CONNECTIONS:
            Event().wait(0.01)
        assert admit(admitter, sender, 1, series="1.9.9", study="1.9").result is AdmissionResult.NEW
        assert not stuck.done()
        connection.rollback()
    assert stuck.result(600).result is AdmissionResult.NEW


def test_without_a_database_it_is_a_storage_error(database: Database) -> None:
    unconnected = GroupAdmitter(Database.open("postgresql://nobody@127.0.0.1:1/none"))
    with pytest.raises(StorageError, match="does not respond"):
        unconnected.admit(header=header(1), blob=blob("1"), kind=UnitKind.SERIES, association_id=uuid4(), source="PACS", sync=safe)


WRITTEN = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction' AND query LIKE '%admit_instances%'
"""


def test_a_row_is_committed_after_its_bytes_are_on_disk(database: Database, admitter: GroupAdmitter) -> None:
    sender, seen = Sender(database), []

    def disk() -> None:
        while not scalar(database, WRITTEN):
            Event().wait(0.01)
        seen.append(scalar(database, "SELECT count(*) FROM instances"))

    assert admit(admitter, sender, 1, sync=disk).result is AdmissionResult.NEW
    assert seen == [0]
    assert scalar(database, "SELECT count(*) FROM instances") == 1


def broken() -> None:
    """A disk error."""
    raise StorageError("input/output error", hint="")


def test_an_instance_with_a_disk_error_has_no_row(database: Database, admitter: GroupAdmitter) -> None:
    sender = Sender(database)
    with pytest.raises(StorageError, match="input/output"):
        admit(admitter, sender, 1, sync=broken)
    assert scalar(database, "SELECT count(*) FROM instances") == 0
    assert admit(admitter, sender, 2).result is AdmissionResult.NEW


def test_each_instance_is_synced_once_and_a_disk_error_fails_alone(database: Database, database_url: str, admitter: GroupAdmitter) -> None:
    """Random groups: an instance with a disk error has no row; the others have one, which was not visible before the bytes were on disk."""
    sender, dice, asked = Sender(database), Random(7), []
    beside = Database.open(database_url, pool_size=12)  # the pool of ``database`` is used by instances that are admitted alone
    bad = {number for number in range(1, 61) if dice.random() < 0.2}

    def disk(number: int) -> None:
        asked.append(number)
        Event().wait(dice.random() * 0.02)
        assert scalar(beside, f"SELECT count(*) FROM instances WHERE sop_instance_uid = '{header(number).sop_instance_uid}'") == 0
        if number in bad:
            broken()

    def send(number: int) -> bool:
        try:
            return admit(admitter, sender, number, sync=lambda: disk(number)).result is AdmissionResult.NEW
        except StorageError:
            return False

    with ThreadPoolExecutor(12) as pool:
        taken = list(pool.map(send, range(1, 61)))
    beside.dispose()
    assert [number for number, done in enumerate(taken, 1) if not done] == sorted(bad)
    assert sorted(asked) == list(range(1, 61))
    assert scalar(database, "SELECT count(*) FROM instances") == scalar(database, "SELECT held FROM units") == 60 - len(bad)
    assert len(admitter._idle) == CONNECTIONS
    assert not admitter._queue


def test_a_commit_waits_for_the_disk_whatever_the_server_is_set_to(database: Database, postgres_url: str) -> None:
    """The sender may delete an instance whose row is committed: a server that answers before its disk would lose it with the power."""
    run(database, "CREATE TABLE seen (value text)")
    run(
        database,
        """CREATE FUNCTION note_setting() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
    )
    run(database, "CREATE TRIGGER note_setting AFTER INSERT ON instances FOR EACH ROW EXECUTE FUNCTION note_setting()")
    change = f"ALTER DATABASE {database.engine.url.database}"
    administrator = psycopg2.connect(postgres_url)
    administrator.autocommit = True
    with closing(administrator), administrator.cursor() as cursor:
        cursor.execute(f"{change} SET synchronous_commit = off")
        try:
            with Database.open(database.engine.url.render_as_string(hide_password=False)) as new:
                assert scalar(new, "SELECT setting FROM pg_settings WHERE name = 'synchronous_commit'") == "on"
                admitter = GroupAdmitter(new)
                admit(admitter, Sender(new), 1)
                admitter.close()
        finally:
            cursor.execute(f"{change} RESET synchronous_commit")
    assert scalar(database, "SELECT array_agg(value) FROM seen") == ["on"]
