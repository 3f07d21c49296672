"""The upgrade that makes months of a trail with events, months that are made ahead, and events outside of every month."""

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import text

from db import audit
from db.audit_archive.months import add_months, list_months
from db.engine import Database
from db.schema.upgrade import _config, upgrade_schema
from deploy.local.database.database_roles import ADMIN, NODE
from tests.support.records import rows, run, scalar
from tests.support.services import as_role, as_superuser, fresh_database

STATEMENT = "INSERT INTO audit_events (at, actor, action, subject, details) VALUES (now() - interval '{}', 'a', 'b', 'c', '{{\"n\": 1}}')"


@pytest.fixture
def before(postgres_url: str) -> Iterator[tuple[Database, str]]:
    """A database of the revision before the months, and its URL for the node's role."""
    with fresh_database(postgres_url, "template0") as url:
        database = Database.open(as_role(url, ADMIN), pool_size=1)
        with database.begin() as connection:
            command.upgrade(_config(connection), "0017")
            connection.execute(text("INSERT INTO installation (id, secret, created_at) VALUES (gen_random_uuid(), 's', node_now())"))
        yield database, url
        database.dispose()


def test_a_trail_with_events_becomes_the_first_part_and_its_chain_continues(before: tuple[Database, str]) -> None:
    database, url = before
    for age in ("400 days", "40 days", "1 second"):
        run(database, STATEMENT.format(age))
    assert audit.chain(database) == 3
    events = rows(database, "SELECT * FROM audit_events ORDER BY id")
    filenode = scalar(database, "SELECT relfilenode FROM pg_class WHERE oid = 'audit_events'::regclass")
    upgrade_schema(database, (NODE, "tests"))
    assert rows(database, "SELECT * FROM audit_events ORDER BY id") == events
    first, *coming = list_months(database)
    assert first.name.startswith("to_")
    assert first.begins_at is None
    assert scalar(database, f"SELECT relfilenode FROM pg_class WHERE relname = 'audit_events_{first.name}'") == filenode  # not copied
    assert len(coming) == 3
    assert coming[0].begins_at == first.ends_at
    node = Database.open(url, pool_size=1)
    audit.record_now(node, actor="a", action="b", subject="c")
    assert audit.chain(node) == 1
    assert (audit.verify(node).chained, audit.verify(node).broken) == (4, None)
    assert scalar(node, "SELECT max(id) FROM audit_events") == 4
    node.dispose()


def test_every_part_has_the_indexes_and_the_guards_of_the_trail(before: tuple[Database, str]) -> None:
    database, _ = before
    run(database, STATEMENT.format("1 second"))
    upgrade_schema(database, (NODE, "tests"))
    parts = [
        name for (name,) in rows(database, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_events'::regclass")
    ]
    assert len(parts) == 5
    wanted = int(str(scalar(database, "SELECT count(*) FROM pg_index WHERE indrelid = 'audit_events'::regclass")))
    assert wanted == 11
    for part in parts:
        assert scalar(database, f"SELECT count(*) FROM pg_index WHERE indrelid = '{part}'::regclass") == wanted
        guards = rows(
            database, f"SELECT tgname FROM pg_trigger WHERE tgrelid = '{part}'::regclass AND tgname LIKE 'audit_events%' ORDER BY 1"
        )
        assert [name for (name,) in guards] == ["audit_events_rows", "audit_events_truncate"]


def test_a_month_that_is_missing_ahead_is_made(database: Database) -> None:
    *_, last = list_months(database)
    assert add_months(database) == 0
    with as_superuser(database) as owner:
        run(owner, f"DROP TABLE audit_events_{last.name}; DELETE FROM audit_months WHERE name = '{last.name}'")
    assert add_months(database) == 1
    assert list_months(database)[-1].name == last.name
    audit.record_now(database, actor="a", action="b", subject="c")
    assert (
        scalar(database, "SELECT tableoid::regclass::text FROM audit_events WHERE actor = 'a'")
        == f"audit_events_{list_months(database)[0].name}"
    )


def test_an_event_outside_of_every_month_is_kept_and_chained(database: Database) -> None:
    with as_superuser(database) as owner:
        for age in ("-400 days", "4000 days"):
            run(owner, STATEMENT.format(age))
        assert rows(owner, "SELECT tableoid::regclass::text FROM audit_events WHERE actor = 'a'") == 2 * [("audit_events_other",)]
        assert scalar(owner, "SELECT audit_add_month(now() + interval '400 days')") is False  # its events stay where they are
        assert scalar(owner, "SELECT audit_add_month(now() + interval '900 days')") is True
    assert audit.chain(database) > 0
    assert audit.verify(database).broken is None


def test_two_chainers_cannot_give_a_number_twice(database: Database) -> None:
    for subject in ("one", "two"):
        audit.record_now(database, actor="a", action="b", subject=subject)
    with database.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": audit.CHAIN_LOCK})
        waiting = "SET LOCAL lock_timeout = '50ms'; SELECT audit_link(repeat('0', 64), ARRAY[1], ARRAY['x'])"
        with pytest.raises(Exception, match="lock timeout"):
            run(database, waiting)
