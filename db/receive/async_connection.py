"""A connection of its own for groups of new instances: the server writes their rows while the caller does something else.

psycopg2's asynchronous mode, because the caller has an fsync to wait for meanwhile, and a thread for that would cost more than the rows.
"""

import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_WRITE

from core.errors import StorageError
from db.engine import SESSION_OPTIONS, Database
from db.receive import admission
from db.records import Admission

DIAL_S = 10.0


@contextmanager
def _storage_errors() -> Iterator[None]:
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise StorageError(f"the database is out of reach: {said}", hint="the step is repeated; see doctor") from error


class Lane:
    """One group at a time: ``begin``, then ``commit``; or ``close``, which takes back what was begun."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._cursor: Any = None

    @property
    def open(self) -> bool:
        """Whether the server holds the connection, as far as is known here."""
        return self._connection is not None and not self._connection.closed

    def begin(self, arrivals: Sequence[admission.Arrival]) -> None:
        """Have the rows of these written; returns while the server does it.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        statement, values = admission.admission_of(arrivals, self._database.installation()[1])
        with _storage_errors():
            if not self.open:
                self._dial()
            self._cursor = self._connection.cursor()
            self._cursor.execute(f"BEGIN; {statement}", values)

    def commit(self) -> list[Admission | None]:
        """What came of each, in the order given: committed when this returns. None: it is not new, see `intake.admit`.

        Raises
        ------
        StorageError
            The database is out of reach, or did not commit; a commit whose answer was lost may have been one.
        """
        with _storage_errors():
            self._wait()
            rows = self._cursor.fetchall()
            self._cursor.execute("COMMIT")
            self._wait()
        if self._cursor.statusmessage != "COMMIT":
            raise StorageError("the database did not commit", hint="the step is repeated")
        return admission.admissions(rows)

    def close(self) -> None:
        """Give the connection back; what was begun is undone by the server. The next ``begin`` dials again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _dial(self) -> None:
        self.close()
        arguments = self._database.driver_arguments() | {"options": SESSION_OPTIONS, "application_name": "dicom-node"}
        self._connection = psycopg2.connect(**arguments, async_=True)
        self._wait(DIAL_S)

    def _wait(self, most_s: float | None = None) -> None:
        """Until the server has answered; what waits for a lock has the session's own limit."""
        until = None if most_s is None else time.monotonic() + most_s
        while (state := self._connection.poll()) != POLL_OK:
            poll = select.poll()
            poll.register(self._connection.fileno(), select.POLLOUT if state == POLL_WRITE else select.POLLIN)
            left_s = None if until is None else until - time.monotonic()
            if (left_s is not None and left_s <= 0) or not poll.poll(None if left_s is None else left_s * 1000):
                raise psycopg2.OperationalError("no answer in time")
