"""The revision that a database has, and the one that this program expects. Needs no alembic, so that every role can ask."""

from functools import cache

from sqlalchemy import Connection, text

from core.errors import StorageError
from db.engine import Database
from db.schema import FOLDER

# A table: a superuser who read a view would execute the functions of its owner.
_MAY_READ = text("""
    SELECT pg_catalog.has_table_privilege(oid, 'SELECT') FROM pg_catalog.pg_class
    WHERE oid = pg_catalog.to_regclass('public.alembic_version') AND relkind = 'r'
""")
_REVISION = text("SELECT version_num FROM public.alembic_version")


def read_revision(connection: Connection) -> str | None:
    """Return the schema revision of the database within the caller's transaction; None for a database without schema.

    Raises
    ------
    StorageError
        The role of the connection may not read it. So it is for a moment in the first upgrade: the tables belong to the role that
        upgrades (`db.schema.upgrade_role`) until they are given to that of the node.
    """
    may_read = connection.execute(_MAY_READ).scalar_one_or_none()
    if may_read is None:
        return None
    if not may_read:
        raise StorageError("the role in database.url may not read the tables", hint="dicom-node db upgrade gives it them at its end")
    found = connection.execute(_REVISION).scalar_one_or_none()
    return None if found is None else str(found)


def current_revision(database: Database) -> str | None:
    """Return the schema revision of the database; None for a database without schema.

    Raises
    ------
    StorageError
        The database does not respond, or its role may not read the revision.
    """
    with database.begin() as connection:
        return read_revision(connection)


@cache
def expected_revision() -> str:
    """Return the schema revision that this program was written for: the last file in ``versions``."""
    return max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*.py"))
