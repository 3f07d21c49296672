"""The role as which the schema is upgraded: no superuser, so that what the node's role has left in the database cannot become one.

An upgrade changes tables and executes the triggers, functions and views that they have, which the node's role owns and may replace.
``SET ROLE`` would not help: a function that is executed may say ``RESET ROLE``. Therefore a session of its own signs in.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text

from core.errors import ConfigurationError, StorageError
from db.engine import Database
from db.schema.owners import AUDIT_OWNER, execute_formatted, hide_functions

SUFFIX = "_upgrade"
LONGEST_NAME = 63  # NAMEDATALEN - 1

_EXISTS = text("SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = :name)")


@contextmanager
def upgrade_session(admin: Database, node_role: str) -> Iterator[Database]:
    """Yield the database as a role that may change what the node and the owner of the audit trail own; it exists within the block only.

    Afterwards what it has made belongs to ``node_role``; `db.schema.owners.separate_owners` gives the audit trail to its owner.

    Parameters
    ----------
    admin
        The connection of a superuser. Nothing of the node's is executed as this role.

    Raises
    ------
    ConfigurationError
        The role cannot sign in.
    """
    name, password = node_role[: LONGEST_NAME - len(SUFFIX)] + SUFFIX, secrets.token_urlsafe(24)
    with admin.begin() as connection:
        hide_functions(connection)
        verb = "ALTER" if connection.execute(_EXISTS, {"name": name}).scalar_one() else "CREATE"
        rights = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
        execute_formatted(connection, f"{verb} ROLE %I {rights} PASSWORD %L", name, password)
        for owner in (node_role, AUDIT_OWNER):
            execute_formatted(connection, "GRANT %I TO %I", owner, name)
        execute_formatted(connection, "GRANT USAGE, CREATE ON SCHEMA public TO %I", name)
    url = admin.engine.url.set(username=name, password=password)
    with Database.open(url.render_as_string(hide_password=False), pool_size=1) as session:
        _check_sign_in(session, name)
        yield session
        with admin.begin() as connection:
            hide_functions(connection)
            execute_formatted(connection, "REASSIGN OWNED BY %I TO %I", name, node_role)
            execute_formatted(connection, "DROP OWNED BY %I", name)
            execute_formatted(connection, "DROP ROLE %I", name)


def _check_sign_in(session: Database, name: str) -> None:
    try:
        with session.begin():
            pass
    except StorageError as error:
        hint = "pg_hba.conf has to admit this role with a password (scram-sha-256) from where the upgrade runs, as it does the node's role"
        raise ConfigurationError(f"the role {name}, as which the schema is upgraded, cannot sign in: {error}", hint=hint) from error
