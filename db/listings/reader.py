"""Reads rows: `db.engine.Database` of a role, or one connection of a command that only lists."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol, Self
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import psycopg2
from psycopg2.extras import RealDictCursor

from core.errors import REPEATED, ConfigurationError, StorageError
from db.connect_arguments import CONNECTION_OPTIONS, SESSION_OPTIONS, URL_HINT
from db.server_order import TAKES_WRITES, split_servers

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")


class Reader(Protocol):
    """What a listing needs."""

    def read(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query in a transaction of its own; its parameters are written as ``%(name)s``.

        Raises
        ------
        StorageError
            The database does not respond.
        """


class ReadingConnection:
    """One connection for reading. Use it in a ``with`` block, which closes it.

    Attributes
    ----------
    url
        Of the database, for a command that needs `db.engine.Database` after all.
    """

    def __init__(self, url: str) -> None:
        """Connect.

        Raises
        ------
        ConfigurationError
            The URL cannot be parsed, or is not one of PostgreSQL.
        StorageError
            The database does not respond.
        """
        scheme, separator, rest = url.partition("://")
        if not separator:
            raise ConfigurationError("database.url cannot be parsed", hint=URL_HINT)
        if scheme not in _SCHEMES:
            raise ConfigurationError(f"database.url names {scheme.partition('+')[0]}, only PostgreSQL is supported", hint=URL_HINT)
        self.url = url
        try:
            several = bool(split_servers(url)[1]) and not TAKES_WRITES.keys() <= dict(parse_qsl(urlsplit(url).query)).keys()
            options: dict[str, Any] = {"options": SESSION_OPTIONS, **CONNECTION_OPTIONS, **(TAKES_WRITES if several else {})}
            self._connection = psycopg2.connect(f"postgresql://{rest}", **options)
        except psycopg2.OperationalError as error:
            raise _not_responding(error) from error
        except (psycopg2.Error, ValueError) as error:
            raise ConfigurationError("database.url cannot be parsed", hint=URL_HINT) from error

    def read(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query, as `Reader.read`."""
        try:
            with self._connection, self._connection.cursor(cursor_factory=RealDictCursor) as cursor:
                cursor.execute(statement, dict(values))
                return [dict(row) for row in cursor]
        except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
            raise _not_responding(error) from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as a dict of JSON types; times in ISO 8601 with offset."""
    return {name: _plain(value) if isinstance(value, _CONVERTED) else value for name, value in row.items()}


_CONVERTED = (datetime, UUID)


def _plain(value: datetime | UUID) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _not_responding(error: psycopg2.Error) -> StorageError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return StorageError(f"the database does not respond: {reason}", hint=f"{REPEATED}; see dicom-node doctor")
