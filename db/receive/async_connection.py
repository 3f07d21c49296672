"""A connection for group commit: the server writes the rows of a group while the caller does something else.

It uses psycopg2's asynchronous mode, because the caller waits for an fsync meanwhile, and a thread for that would cost more than the rows.
"""

import select
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_WRITE, TRANSACTION_STATUS_INTRANS

from core.errors import StorageError
from db.connect_arguments import SESSION_OPTIONS
from db.engine import Database
from db.receive.admission import Admission, Arrival, admission_statement, read_admissions

CONNECT_S = 10.0
# Every statement of an admission finds its rows by unique keys: planning the lock of a unit anew for each instance finds the same plan.
_OPTIONS = f"{SESSION_OPTIONS} -c plan_cache_mode=force_generic_plan"
# Prepared, which costs half as much. It sees what was committed before it, its group included (`db.blobs.removals`).
_PREPARE = "PREPARE requested (text[]) AS SELECT sha256 FROM blob_removals WHERE sha256 = ANY($1)"
_COMMIT = "COMMIT; EXECUTE requested (%(hashes)s)"


@contextmanager
def _storage_errors() -> Iterator[None]:
    """Raise StorageError for errors of the driver. `db.engine.storage_errors` does the same for SQLAlchemy's exceptions."""
    try:
        yield
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        message = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = "the operation is repeated; see dicom-node doctor"
        raise StorageError(f"the database does not respond: {message}", hint=hint) from error


class AdmissionConnection:
    """A connection that admits one group at a time: ``begin``, then ``commit``; or ``close``, which rolls back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Any = None
        self._cursor: Any = None
        self._hashes: list[str] = []

    @property
    def open(self) -> bool:
        """Whether the connection is open, as far as the client knows."""
        return self._connection is not None and not self._connection.closed

    def begin(self, arrivals: Sequence[Arrival]) -> None:
        """Begin a transaction and send the rows of a group; return while the server writes them.

        Raises
        ------
        StorageError
            The database does not respond.
        """
        statement, values = admission_statement(arrivals, self._database.installation()[1])
        with _storage_errors():
            if not self.open:
                self._connect()
            self._hashes = [arrival.blob.sha256 for arrival in arrivals]
            self._cursor = self._connection.cursor()
            self._cursor.execute(f"BEGIN; {statement}", values)

    def commit(self) -> list[Admission | None]:
        """Commit and return the admission of each instance, in the given order.

        In the same round trip, after the commit, requests to remove their blobs are looked for.

        None where an instance is not new: see `db.receive.admission.admit_instance`.

        Raises
        ------
        StorageError
            The database does not respond, or did not commit. The commit may have succeeded although its answer was lost.
        """
        with _storage_errors():
            self._wait()
            rows = self._cursor.fetchall()
            if self._connection.info.transaction_status != TRANSACTION_STATUS_INTRANS:  # COMMIT would roll back without an error
                raise StorageError("the database did not commit", hint="the operation is repeated")
            self._cursor.execute(_COMMIT, {"hashes": self._hashes})
            self._wait()
            requested = {sha256 for (sha256,) in self._cursor.fetchall()}
        return [
            admission and replace(admission, removed=sha256 in requested)
            for admission, sha256 in zip(read_admissions(rows), self._hashes, strict=True)
        ]

    def close(self) -> None:
        """Close the connection; the server rolls back what was begun. The next ``begin`` connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> None:
        self.close()
        arguments = self._database.driver_arguments() | {"options": _OPTIONS}
        self._connection = psycopg2.connect(**arguments, async_=True)
        self._wait(CONNECT_S)
        self._cursor = self._connection.cursor()
        self._cursor.execute(_PREPARE)
        self._wait(CONNECT_S)

    def _wait(self, most_s: float | None = None) -> None:
        """Wait until the server has answered. Waiting for a lock is limited by the session's own setting."""
        until = None if most_s is None else time.monotonic() + most_s
        while (state := self._connection.poll()) != POLL_OK:
            poll = select.poll()
            poll.register(self._connection.fileno(), select.POLLOUT if state == POLL_WRITE else select.POLLIN)
            left_s = None if until is None else until - time.monotonic()
            if (left_s is not None and left_s <= 0) or not poll.poll(None if left_s is None else left_s * 1000):
                raise psycopg2.OperationalError("no answer in time")
