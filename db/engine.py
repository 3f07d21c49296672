"""Connections to PostgreSQL: one pool per process, short transactions, and the database's clock."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import REPEATED, ConfigurationError, StorageError
from db.connect_arguments import CONNECTION_OPTIONS, SESSION_OPTIONS, URL_HINT
from db.server_order import ServerOrder, split_servers


def normalise_url(url: str) -> str:
    """Replace the schemes ``postgresql://`` and ``postgres://`` by ``postgresql+psycopg2://``; return other URLs unchanged.

    SQLAlchemy 2.1 uses psycopg 3, which is not installed, for the plain scheme. Several servers with commas between them, as libpq has
    them, become parameters ``host`` and ``port``, which is how SQLAlchemy has them.
    """
    url, servers = split_servers(url)
    if servers:
        hosts, ports = zip(*(server.rsplit(":", 1) for server in servers), strict=True)
        url += f"&host={','.join(host.strip('[]') for host in hosts)}&port={','.join(ports)}"
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise StorageError for operational errors of the driver (refused, closed, timed out, deadlock), without statement and values."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StorageError(f"the database does not respond: {_first_line(error)}", hint=f"{REPEATED}; see dicom-node doctor") from error
    except PoolTimeout as error:
        raise StorageError("all database connections of this process are in use", hint=REPEATED) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageError(f"the database connection broke: {_first_line(error)}", hint=REPEATED) from error
        raise


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]


class TransactionReader:
    """Reads rows in one transaction, as `db.listings.reader.Reader.read`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def read(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query; its parameters are written as ``%(name)s``."""
        found = self._connection.exec_driver_sql(statement, dict(values))
        names = tuple(found.keys())
        return [dict(zip(names, row, strict=True)) for row in found]


class Database:
    """A pool of connections to one PostgreSQL database.

    Every public function of the package runs one short transaction in READ COMMITTED and locks rows in the order unit, job,
    delivery, so that two transactions cannot deadlock.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._servers = ServerOrder(self._url_arguments())
        event.listen(engine, "do_connect", self._before_connect)
        event.listen(engine, "connect", lambda connection, _record: self._servers.note(connection))
        self._installation: tuple[UUID, bytes] | None = None

    @classmethod
    def open(cls, url: str, *, pool_size: int = 5) -> Self:
        """Make a pool for ``url``; no connection is opened yet. A ``with`` block disposes of it.

        Raises
        ------
        ConfigurationError
            The URL cannot be parsed, or is not one of PostgreSQL.
        """
        try:
            parsed: URL = make_url(normalise_url(url))
        except (ArgumentError, ValueError) as error:
            raise ConfigurationError("database.url cannot be parsed", hint=URL_HINT) from error
        if parsed.get_backend_name() != "postgresql":
            raise ConfigurationError(f"database.url names {parsed.get_backend_name()}, only PostgreSQL is supported", hint=URL_HINT)
        engine = create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=30,
            pool_pre_ping=True,  # a restarted server causes no error
            pool_use_lifo=True,  # the last used connection, which knows the tables: the first plan over a view takes a new one 0.2 s
            use_native_hstore=False,  # no column is of that type, and each connection would ask the server for it
            hide_parameters=True,  # patient data never appear in the text of an exception
            connect_args={"options": SESSION_OPTIONS, **CONNECTION_OPTIONS},
        )
        return cls(engine)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Yield a connection in a transaction: committed at the end, rolled back on any error.

        Raises
        ------
        StorageError
            The database does not respond.
        """
        with storage_errors(), self.engine.begin() as connection:
            yield connection

    def read(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a query, as `db.listings.reader.Reader.read`."""
        with self.reading() as reader:
            return reader.read(statement, values)

    @contextmanager
    def reading(self) -> Iterator[TransactionReader]:
        """Yield a reader for several queries in one transaction: a transaction for each costs three more round trips."""
        with self.begin() as connection:
            yield TransactionReader(connection)

    def now(self) -> datetime:
        """Return the time of the database's clock, node_now(), in UTC."""
        with self.begin() as connection:
            moment: datetime = connection.execute(text("SELECT node_now()")).scalar_one()
        return moment

    def installation_id(self) -> UUID:
        """Return the root of this installation's UIDs, drawn once by the first upgrade."""
        return self.installation()[0]

    def installation(self) -> tuple[UUID, bytes]:
        """Return (id, key of the patient references in audit events)."""
        if self._installation is None:
            with self.begin() as connection:
                row = connection.execute(text("SELECT id, secret FROM installation")).one()
            self._installation = (row.id, bytes(row.secret))
        return self._installation

    def ping(self) -> None:
        """Make one round trip.

        Raises
        ------
        StorageError
            The database does not respond.
        """
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def is_superuser(self) -> bool:
        """Whether the role of the connection is a superuser."""
        with self.begin() as connection:
            return bool(connection.execute(text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")).scalar_one())

    def server_major(self) -> int:
        """Return the server's major version; pg_dump and pg_restore must have the same."""
        with self.begin() as connection:
            return int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10000

    def dispose(self) -> None:
        """Close all connections of the pool."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    def driver_arguments(self) -> dict[str, Any]:
        """Return the arguments of psycopg2.connect for a new connection outside of the pool."""
        arguments = {**self._url_arguments(), **CONNECTION_OPTIONS}
        self._servers.apply(arguments)
        return arguments

    def _url_arguments(self) -> dict[str, Any]:
        _, arguments = self.engine.dialect.create_connect_args(self.engine.url)
        return dict(arguments)

    def _before_connect(self, _dialect: Any, _record: Any, _arguments: Any, keywords: dict[str, Any]) -> None:
        self._servers.apply(keywords)
