"""Brings the schema to the newest revision. Alembic runs without its command line and ini file, in one transaction."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from db.auditor_role import grant_views
from db.engine import Database
from db.schema import FOLDER, VIEWS, read_sql
from db.schema.owners import make_node_role, separate_owners
from db.schema.revisions import expected_revision, read_revision
from db.schema.upgrade_role import upgrade_session

if TYPE_CHECKING:
    from alembic.config import Config

UPGRADE_LOCK, PRIVILEGED_LOCK = 0x64636D6E, 0x64636D6F  # "dcmn": roles that start at the same time upgrade one after the other

_LOCK = text("SELECT pg_catalog.pg_advisory_xact_lock(:lock)")
# Two random UUIDs are 244 random bits: the key of the patient references in audit events.
_IDENTIFY = text("""
    INSERT INTO installation (id, secret, created_at)
    VALUES (gen_random_uuid(), sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), clock_timestamp())
    ON CONFLICT DO NOTHING
""")


def upgrade_schema(database: Database, node_role: tuple[str, str] | None = None) -> None:
    """Bring the schema to the newest revision. Without effect when it is there; several processes may call it at once.

    A superuser executes no function, trigger or view of the node here: a stolen role of the node could otherwise make itself a superuser
    at the next start. What changes the node's tables is executed as another role (`db.schema.upgrade_role`).

    Parameters
    ----------
    node_role
        Name and password of the role that the node signs in as, where ``database`` is the connection of a superuser: the audit trail
        and everything else get their owners (`db.schema.owners`). None: the connection's own role owns what it makes.

    Raises
    ------
    ConfigurationError
        There is a ``node_role``, and the connection is not one of a superuser, or the role that upgrades cannot sign in.
    StorageError
        The database does not respond.
    """
    if node_role is None:
        _upgrade(database)
        return
    with database.begin() as turn:  # a second one must not give the upgrading role another password meanwhile
        turn.execute(_LOCK, {"lock": PRIVILEGED_LOCK})
        _upgrade_with_owners(database, *node_role)


def _upgrade_with_owners(database: Database, name: str, password: str) -> None:
    with database.begin() as connection:
        connection.execute(_LOCK, {"lock": UPGRADE_LOCK})
        make_node_role(connection, name, password)
        separate_owners(connection, name)
        is_newest = read_revision(connection) == expected_revision()
    if not is_newest:
        with upgrade_session(database, name) as session:
            _upgrade(session)
        with database.begin() as connection:
            connection.execute(_LOCK, {"lock": UPGRADE_LOCK})
            separate_owners(connection, name)


def _upgrade(database: Database) -> None:
    """Upgrade as the role of this connection, which owns what it makes."""
    with database.begin() as connection:
        connection.execute(_LOCK, {"lock": UPGRADE_LOCK})
        if read_revision(connection) == expected_revision():
            return
        from alembic import command  # most often the schema is the newest one, and alembic is not needed

        for name in VIEWS:
            connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
        command.upgrade(_config(connection), "head")
        execute_script(connection, read_sql("views"))
        grant_views(connection, VIEWS)
        connection.execute(_IDENTIFY)


def sql_upgrade(*names: str) -> Callable[[], None]:
    """Return the function ``upgrade`` of a revision that executes these SQL files."""

    def upgrade() -> None:
        from alembic import op

        for name in names:
            execute_script(op.get_bind(), read_sql(name))

    return upgrade


def execute_script(connection: Connection, script: str) -> None:
    """Execute several statements in one round trip; the script is passed to the server as it is written."""
    connection.exec_driver_sql(script, execution_options={"no_parameters": True})


def _config(connection: Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
