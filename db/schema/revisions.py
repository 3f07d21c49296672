"""The revision that a database has, and the one that this program expects. Needs no alembic, so that every role can ask."""

from functools import cache

from sqlalchemy import Connection, text

from db.engine import Database
from db.schema import FOLDER

# A table: a superuser who read a view would execute the functions of its owner.
_TABLE = text("""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass('public.alembic_version') AND relkind = 'r')
""")
_REVISION = text("SELECT version_num FROM public.alembic_version")


def read_revision(connection: Connection) -> str | None:
    """Return the schema revision of the database within the caller's transaction; None for a database without schema."""
    if not connection.execute(_TABLE).scalar_one():
        return None
    found = connection.execute(_REVISION).scalar_one_or_none()
    return None if found is None else str(found)


def current_revision(database: Database) -> str | None:
    """Return the schema revision of the database; None for a database without schema.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        return read_revision(connection)


@cache
def expected_revision() -> str:
    """Return the schema revision that this program was written for: the last file in ``versions``."""
    return max(path.name[:4] for path in (FOLDER / "versions").glob("[0-9]*.py"))
