"""A role of PostgreSQL that may read the views ``v_*`` and nothing else, for auditors who ask the database themselves."""

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, text

from core.errors import ConfigurationError
from db import audit
from db.engine import Database
from db.schema.owners import execute_formatted

STATEMENT_S = 300
LONGEST_NAME = 63  # NAMEDATALEN - 1

_GROUP = text("SELECT left('dicom_node_auditors_' || current_database(), 63)")
_EXISTS = text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :name)")
_MEMBER = text("""
    SELECT EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles g ON g.oid = m.roleid
                   WHERE r.rolname = :name AND g.rolname = :group)
""")
_MAY_CREATE = text("SELECT rolcreaterole OR rolsuper FROM pg_roles WHERE rolname = current_user")


def make_auditor(database: Database, name: str, views: Sequence[str], *, actor: str) -> str:
    """Make a login role that may read the views, or give an existing one a new password; return the password, which is stored nowhere.

    Raises
    ------
    ConfigurationError
        The name cannot be used, belongs to another role, or the node's own role may not make roles.
    """
    if not name.isidentifier() or not name.isascii() or name != name.lower() or len(name) > LONGEST_NAME:
        raise ConfigurationError(f"{name!r} cannot be the name of a database role", hint="use small letters, digits and _, as `auditor`")
    password = secrets.token_urlsafe(24)
    with database.begin() as connection:
        group = str(connection.execute(_GROUP).scalar_one())
        known = bool(connection.execute(_EXISTS, {"name": name}).scalar_one())
        if known and not connection.execute(_MEMBER, {"name": name, "group": group}).scalar_one():
            raise ConfigurationError(f"the database has a role {name} that is no auditor of this node", hint="choose another name")
        if not connection.execute(_MAY_CREATE).scalar_one():
            raise ConfigurationError(
                "the role of this connection may not make roles",
                hint="set DICOM_NODE_DATABASE__ADMIN_URL to the URL of a superuser for this command",
            )
        if not connection.execute(_EXISTS, {"name": group}).scalar_one():
            execute_formatted(connection, "CREATE ROLE %I NOLOGIN", group)
        grant_views(connection, views)
        verb = "ALTER" if known else "CREATE"
        execute_formatted(connection, verb + " ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L", name, password)
        execute_formatted(connection, "GRANT %I TO %I", group, name)
        execute_formatted(connection, "ALTER ROLE %I SET default_transaction_read_only = on", name)
        execute_formatted(connection, "ALTER ROLE %I SET statement_timeout = %L", name, f"{STATEMENT_S}s")
        audit.record(connection, actor=actor, action="auditor.made", subject=f"role:{name}", details={"new_password": known})
    return password


def grant_views(connection: Connection, views: Sequence[str]) -> None:
    """Let the auditors of this database read the views; without effect where there are none. Views made anew have lost their grants."""
    group = str(connection.execute(_GROUP).scalar_one())
    if connection.execute(_EXISTS, {"name": group}).scalar_one():
        for view in views:
            execute_formatted(connection, "GRANT SELECT ON %I TO %I", view, group)
