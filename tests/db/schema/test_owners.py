"""The node's role may add audit events, and nothing lets it change or remove them."""

import pytest
from alembic import command
from sqlalchemy.exc import DBAPIError

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from db import audit
from db.engine import Database
from db.schema.owners import AUDIT_OWNER, may_change_audit_trail, separate_owners
from db.schema.upgrade import _config, upgrade_schema
from deploy.local.database.database_roles import ADMIN, upgrade_database
from tests.support.records import rows, run, scalar
from tests.support.services import as_role, as_superuser, fresh_database

OWNERS = """
    SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S') ORDER BY 1
"""

FORBIDDEN = (
    "ALTER TABLE audit_events DISABLE TRIGGER USER",
    "DROP TABLE audit_events",
    "DROP TRIGGER audit_events_rows ON audit_events",
    "ALTER TABLE audit_events RENAME TO other",
    "DELETE FROM audit_events",
    "UPDATE audit_events SET actor = 'x'",
    "TRUNCATE audit_events",
    "INSERT INTO audit_events (at, actor, action, subject, details) VALUES (now() - interval '1 day', 'a', 'b', 'c', '{}')",
    "INSERT INTO audit_events (actor, action, subject, details, chain_seq, chain_hash) VALUES ('a', 'b', 'c', '{}', 9, 'x')",
    "CREATE OR REPLACE FUNCTION audit_events_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "DROP FUNCTION audit_events_guard() CASCADE",
    "DELETE FROM audit_events_other",
    "TRUNCATE audit_events_other",
    "ALTER TABLE audit_events DETACH PARTITION audit_events_other",
    "DELETE FROM audit_months",
    "UPDATE audit_months SET archived_at = now()",
    "SELECT audit_add_month(now() + interval '9 years')",
    "SELECT audit_add_part('2099_01', now() + interval '9 years', now() + interval '10 years')",
    "DROP SCHEMA public CASCADE",
    "ALTER SCHEMA public RENAME TO other",
    "SET session_replication_role = replica",
    "SET ROLE dicom_node_audit",
    "GRANT dicom_node_audit TO dicom_node",
    "CREATE ROLE other SUPERUSER",
    "SELECT setval('audit_events_id_seq', 1)",
    "SELECT pg_read_file('PG_VERSION')",
    "CREATE SCHEMA other",
)


def test_the_node_can_add_and_link_events(database: Database) -> None:
    audit.record_now(database, actor="a", action="b", subject="c")
    assert audit.chain(database) == 1
    assert audit.verify(database).broken is None


def test_the_node_cannot_change_the_trail(database: Database) -> None:
    audit.record_now(database, actor="a", action="b", subject="c")
    for statement in FORBIDDEN:
        with pytest.raises(DBAPIError, match=r"must be owner|permission denied|must be superuser|must have"):
            run(database, statement)
    assert scalar(database, "SELECT count(*) FROM audit_events WHERE actor = 'a'") == 1


def test_the_node_cannot_move_the_time_of_events(database: Database) -> None:
    """Its own clock, `node_now()`, is a function that it may replace; that of the trail is PostgreSQL's."""
    run(database, "CREATE OR REPLACE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql RETURN clock_timestamp() - interval '1 day'")
    audit.record_now(database, actor="a", action="b", subject="c")
    assert 0 <= float(str(scalar(database, "SELECT extract(epoch FROM clock_timestamp() - max(at)) FROM audit_events"))) < 3600


def test_a_start_executes_nothing_of_the_node_as_superuser(database: Database, database_url: str) -> None:
    """A stolen role could otherwise leave a function behind that makes it a superuser at the next start."""
    run(database, "CREATE TABLE executed_by (role text)")
    note = "INSERT INTO executed_by VALUES (current_user)"
    run(database, f"CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {note}; RETURN NULL; END'")
    for given, value in (("text, text", "$2"), ("text, VARIADIC text[]", "VARIADIC $2")):
        body = f"BEGIN {note}; RETURN pg_catalog.format($1, {value}); END"
        run(database, f"CREATE FUNCTION public.format({given}) RETURNS text LANGUAGE plpgsql AS '{body}'")
    run(database, "CREATE TRIGGER trap BEFORE INSERT ON installation FOR EACH STATEMENT EXECUTE FUNCTION trap()")
    settings = Settings.model_validate({"database": {"url": database_url, "admin_url": as_role(database_url, ADMIN)}})
    upgrade_database(settings, database_url)
    assert rows(database, "SELECT role FROM executed_by WHERE role <> 'dicom_node'") == []


def test_linking_continues_the_chain_or_fails(database: Database) -> None:
    for subject in ("one", "two"):
        audit.record_now(database, actor="a", action="b", subject=subject)
    assert audit.chain(database, limit=1) == 1
    with pytest.raises(StorageError, match="does not end with the expected hash"):
        run(database, f"SELECT audit_link('{'1' * 64}', ARRAY[2], ARRAY['x'])")
    head = scalar(database, "SELECT chain_hash FROM audit_events WHERE chain_seq = 1")
    assert scalar(database, f"SELECT audit_link('{head}', ARRAY[1], ARRAY['x'])") == 0  # linked once, for ever


def test_only_the_trail_has_another_owner(database: Database) -> None:
    owners = dict(rows(database, OWNERS))
    trail = {name for name in owners if name.startswith(("audit_events", "audit_months"))}
    assert {"audit_events", "audit_events_id_seq", "audit_events_other", "audit_months"} < trail
    assert {owners[name] for name in trail} == {AUDIT_OWNER}
    assert {owner for name, owner in owners.items() if name not in trail} == {"dicom_node"}
    assert not database.is_superuser()
    assert not may_change_audit_trail(database)


def test_a_schema_that_one_role_owns_is_separated(database: Database) -> None:
    """As in a database of an earlier version, or of a server whose only role is the node's."""
    with as_superuser(database) as admin:
        run(admin, "ALTER TABLE audit_events OWNER TO dicom_node; ALTER FUNCTION audit_events_guard OWNER TO dicom_node")
        run(admin, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO dicom_node', current_database()); END $$")
        assert may_change_audit_trail(database)
        upgrade_schema(admin, ("dicom_node", "tests"))
        upgrade_schema(admin, ("dicom_node", "tests"))
    test_only_the_trail_has_another_owner(database)
    audit.record_now(database, actor="a", action="b", subject="c")
    assert audit.chain(database) == 1


def test_a_role_that_is_no_superuser_cannot_separate(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="no superuser"):
        upgrade_schema(database, ("dicom_node", "tests"))


def test_an_upgrade_executes_nothing_of_the_node_as_superuser(postgres_url: str) -> None:
    """The trap tries to become a superuser, also by RESET ROLE."""
    with fresh_database(postgres_url, "template0") as url:
        node = Database.open(url, pool_size=1)
        with as_superuser(node) as admin:
            with admin.begin() as connection:
                command.upgrade(_config(connection), "0017")
                separate_owners(connection, "dicom_node")
            run(node, "CREATE TABLE executed_by (role text, super boolean)")
            take = "BEGIN RESET ROLE; ALTER ROLE dicom_node SUPERUSER; EXCEPTION WHEN insufficient_privilege THEN NULL; END;"
            note = "INSERT INTO public.executed_by SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user;"
            body = f"BEGIN {take} {note} RETURN NULL; END"
            run(node, f"CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $trap${body}$trap$")
            run(node, "CREATE TRIGGER trap BEFORE INSERT ON installation FOR EACH STATEMENT EXECUTE FUNCTION trap()")
            upgrade_schema(admin, ("dicom_node", "tests"))
            assert rows(node, "SELECT DISTINCT role, super FROM executed_by") == [("dicom_node_upgrade", False)]
            assert not node.is_superuser()
            assert scalar(admin, "SELECT count(*) FROM pg_roles WHERE rolname = 'dicom_node_upgrade'") == 0
            audit.record_now(node, actor="a", action="b", subject="c")
            assert audit.chain(node) == 1
            run(node, "DROP TRIGGER trap ON installation; DROP FUNCTION trap(); DROP TABLE executed_by")
            test_only_the_trail_has_another_owner(node)
        node.dispose()
