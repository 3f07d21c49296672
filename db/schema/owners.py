"""Separates the node's role in PostgreSQL from the owner of the audit trail.

The table `audit_events`, its months and its guards belong to `AUDIT_OWNER`, a role that nobody can sign in as. The node's role may read the
trail, add events, link them to the chain and have the coming months made, and nothing else: it cannot change or delete events, disable the
triggers, or drop a table. Everything else belongs to the node's role. All of this needs a superuser, and is done again after every upgrade,
because a new object belongs to the role that made it.
"""

from sqlalchemy import Connection, text

from core.errors import ConfigurationError
from db.engine import Database
from db.schema import read_sql

AUDIT_OWNER = "dicom_node_audit"
BOOTSTRAP_OID = 10  # BOOTSTRAP_SUPERUSERID: the role that initdb made, whose attribute SUPERUSER cannot be taken away

# The node may make functions in the schema public, which would be preferred to those of PostgreSQL where their types fit better.
_ONLY_BUILT_IN = text("SET LOCAL search_path = pg_catalog")
_SET = text("SELECT set_config('dicom_node.node_role', :node, true), set_config('dicom_node.audit_owner', :owner, true)")
_IS_SUPERUSER = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
_ROLE = text("SELECT oid, rolsuper FROM pg_roles WHERE rolname = :name")
_FORMAT = text("SELECT format(:pattern, VARIADIC CAST(:values AS text[]))")
_MAY_CHANGE = text("""
    SELECT r.rolsuper OR has_any_column_privilege('audit_events', 'UPDATE')
           OR has_table_privilege('audit_events', 'DELETE, TRUNCATE, TRIGGER')
           OR pg_has_role(d.datdba, 'USAGE')
    FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()
""")


def separate_owners(connection: Connection, node_role: str) -> None:
    """Give the audit trail to its owner and everything else to ``node_role``, in the caller's transaction. May be repeated."""
    hide_functions(connection)
    connection.execute(_SET, {"node": node_role, "owner": AUDIT_OWNER})
    connection.exec_driver_sql(read_sql("owners"), execution_options={"no_parameters": True})


def hide_functions(connection: Connection) -> None:
    """Let the statements of this transaction find functions of PostgreSQL only, not those that the node may have made."""
    connection.execute(_ONLY_BUILT_IN)


def make_superuser(database: Database, name: str, password: str) -> None:
    """Make a superuser, or give the existing one this password; the connection is one of a superuser."""
    with database.begin() as connection:
        verb = "CREATE" if connection.execute(_ROLE, {"name": name}).one_or_none() is None else "ALTER"
        execute_formatted(connection, verb + " ROLE %I LOGIN SUPERUSER PASSWORD %L", name, password)


def make_node_role(connection: Connection, name: str, password: str) -> None:
    """Make the role that the node signs in as, or take from an existing one what the node does not need; in the caller's transaction.

    The superuser that initdb made keeps its rights, whatever is done: it is renamed, may not sign in any more, and leaves its name to
    the new role.

    Raises
    ------
    ConfigurationError
        The connection is not one of a superuser.
    """
    hide_functions(connection)
    if not connection.execute(_IS_SUPERUSER).scalar_one():
        raise ConfigurationError("the role in database.admin_url is no superuser", hint="give the URL of a superuser of this server")
    role = connection.execute(_ROLE, {"name": name}).one_or_none()
    if role is not None and role.oid == BOOTSTRAP_OID:
        execute_formatted(connection, "ALTER ROLE %I RENAME TO %I", name, f"{name}_bootstrap")
        execute_formatted(connection, "ALTER ROLE %I NOLOGIN", f"{name}_bootstrap")
        role = None
    rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    if role is None:
        execute_formatted(connection, f"CREATE ROLE %I {rights} PASSWORD %L", name, password)
    else:
        execute_formatted(connection, f"ALTER ROLE %I {rights}", name)


def may_change_audit_trail(database: Database) -> bool:
    """Whether the role of this connection could change or remove audit events: it should be able to add them only.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        return bool(connection.execute(_MAY_CHANGE).scalar_one())


def execute_formatted(connection: Connection, pattern: str, *values: str) -> None:
    """Execute a statement whose names and texts the server has quoted: such statements take no parameters."""
    statement = str(connection.execute(_FORMAT, {"pattern": pattern, "values": list(values)}).scalar_one())
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
