"""Settings of PostgreSQL without which a loss of power undoes or damages what it has committed. Only its administrator can change them."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.errors import StorageError
from db.engine import Database

SETTINGS = ("fsync", "full_page_writes")
"""Commits are written to disk; pages of which a crash has written a part are restored."""

_READ = text("SELECT name, current_setting(name, true) FROM unnest(CAST(:names AS text[])) AS name")


def read_durability_settings(database: Database) -> Mapping[str, str]:
    """Return the value of each of `SETTINGS`, which is safe where it is ``on``.

    Raises
    ------
    StorageError
        One cannot be read, or the database does not respond.
    """
    try:
        with database.begin() as connection:
            values = {str(row[0]): row[1] for row in connection.execute(_READ, {"names": list(SETTINGS)})}
    except DBAPIError as error:
        raise StorageError((str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]) from error
    if unknown := [name for name, value in values.items() if value is None]:
        raise StorageError(f"the server has no setting {', '.join(unknown)}")
    return values
