"""The connection to PostgreSQL: one engine per process, short transactions, the database's clock."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import ConfigurationError, StorageError

# Session settings: times come back as UTC; a lock that nobody gives up becomes a transient error, never a hang.
SESSION_OPTIONS = "-c timezone=UTC -c lock_timeout=30s -c idle_in_transaction_session_timeout=120s"


def normalise_url(url: str) -> str:
    """``postgresql://`` and ``postgres://`` become ``postgresql+psycopg2://``; others are returned as they are.

    SQLAlchemy 2.1 takes psycopg 3 for the plain scheme, which is not installed.
    """
    for scheme in ("postgresql://", "postgres://"):
        if url.startswith(scheme):
            return "postgresql+psycopg2://" + url.removeprefix(scheme)
    return url


@contextmanager
def storage_errors() -> Iterator[None]:
    """The driver's operational errors (gone, refused, timed out, deadlock) as StorageError, without statement or values."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StorageError(f"the database is out of reach: {_first_line(error)}", hint="the step is repeated; see doctor") from error
    except PoolTimeout as error:
        raise StorageError("every database connection of this process is busy", hint="the step is repeated") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageError(f"the database connection broke: {_first_line(error)}", hint="the step is repeated") from error
        raise


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]


class Database:
    """A pool of connections to one PostgreSQL database.

    Every public function of the package runs one short transaction in READ COMMITTED and locks rows in one
    order: unit, job, delivery.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._installation: tuple[UUID, bytes] | None = None

    @classmethod
    def open(cls, url: str, *, pool_size: int = 5) -> Self:
        """An engine for ``url``; nothing is dialled yet.

        Raises
        ------
        ConfigurationError
            The URL is none, or not of PostgreSQL.
        """
        hint = "postgresql://user:password@host:port/database"
        try:
            parsed: URL = make_url(normalise_url(url))
        except ArgumentError as error:
            raise ConfigurationError("database.url cannot be read", hint=hint) from error
        if parsed.get_backend_name() != "postgresql":
            raise ConfigurationError(f"database.url names {parsed.get_backend_name()}, only PostgreSQL serves", hint=hint)
        engine = create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=pool_size,
            pool_timeout=30,
            pool_pre_ping=True,  # a restarted server costs no instance
            hide_parameters=True,  # patient values never reach an exception's text
            connect_args={"options": SESSION_OPTIONS, "connect_timeout": 10, "application_name": "dicom-node", "keepalives_idle": 30},
        )
        return cls(engine)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection in a transaction: committed at the end, rolled back on any error.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        with storage_errors(), self.engine.begin() as connection:
            yield connection

    def now(self) -> datetime:
        """The database's clock (UTC), through node_now()."""
        with self.begin() as connection:
            moment: datetime = connection.execute(text("SELECT node_now()")).scalar_one()
        return moment

    def installation_id(self) -> UUID:
        """What tells this installation's UIDs from another's; drawn once by ``upgrade``."""
        return self.installation()[0]

    def installation(self) -> tuple[UUID, bytes]:
        """(id, secret key for the references to patients in audit events)."""
        if self._installation is None:
            with self.begin() as connection:
                row = connection.execute(text("SELECT id, secret FROM installation")).one()
            self._installation = (row.id, bytes(row.secret))
        return self._installation

    def ping(self) -> None:
        """One round trip.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        with self.begin() as connection:
            connection.execute(text("SELECT 1"))

    def server_major(self) -> int:
        """The server's major version, for tools that must be of the same."""
        with self.begin() as connection:
            return int(connection.execute(text("SHOW server_version_num")).scalar_one()) // 10000

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    def driver_arguments(self) -> dict[str, Any]:
        """What psycopg2.connect takes, for a connection outside of the pool (LISTEN)."""
        _, arguments = self.engine.dialect.create_connect_args(self.engine.url)
        return {**arguments, "connect_timeout": 10, "application_name": "dicom-node listen", "keepalives_idle": 30}
