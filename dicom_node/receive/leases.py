"""Open associations as leased rows: opened with the first instance, renewed while they last, closed behind them.

A listener that is killed renews no more, and the conductor reaps its rows. Closing is done by a thread of its own, so
that a database that is away delays no release, and nothing is forgotten when it comes back.
"""

import threading
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import structlog

from core.errors import NodeError, StorageError
from core.policy.admission import Standing
from db.engine import Database
from db.receive import admission

How = Literal["released", "aborted", "lost"]
RETRY_S = 0.5


@dataclass(slots=True)
class Admitted:
    """One association that was let in. ``kept``: it has a row."""

    id: UUID
    calling_ae: str
    called_ae: str
    address: str
    standing: Standing
    kept: bool = False


class Leases:
    """The admitted associations of one listener process."""

    def __init__(self, database: Database, *, listener: str, lease_s: float) -> None:
        self._database = database
        self._listener = listener
        self._lease_s = lease_s
        self._lock = threading.Lock()
        self._open: dict[int, Admitted] = {}
        self._closing: list[tuple[UUID, How]] = []
        self._wake = threading.Event()
        self._stopping = False
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="association-leases", daemon=True)
        self._thread.start()

    def count(self) -> int:
        """How many associations are admitted now."""
        with self._lock:
            return len(self._open)

    def admit(self, key: int, *, calling_ae: str, called_ae: str, address: str, standing: Standing) -> Admitted:
        """Let an association in; ``key`` is whatever tells it from the others of this process."""
        admitted = Admitted(uuid4(), calling_ae, called_ae, address, standing)
        with self._lock:
            self._open[key] = admitted
        return admitted

    def of(self, key: int) -> Admitted | None:
        """The admitted association of this key."""
        with self._lock:
            return self._open.get(key)

    def keep(self, admitted: Admitted) -> UUID:
        """The id of the association's row, made now if there is none: before its first instance is admitted.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        if not admitted.kept:
            try:
                admission.open_association(
                    self._database,
                    id=admitted.id,
                    calling_ae=admitted.calling_ae,
                    called_ae=admitted.called_ae,
                    address=admitted.address,
                    listener=self._listener,
                    lease_s=self._lease_s,
                )
            except StorageError:
                admitted.id = uuid4()  # the row may be there all the same: it runs out by itself
                raise
            admitted.kept = True
        return admitted.id

    def end(self, key: int, how: How) -> None:
        """The association is over. Returns at once."""
        with self._lock:
            admitted = self._open.pop(key, None)
            if admitted is not None and admitted.kept:
                self._closing.append((admitted.id, how))
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Close what is left to close, then end the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        wait_s = renew_s = self._lease_s / 3
        while not (self._stopping and not self._closing):
            self._wake.wait(wait_s)
            self._wake.clear()
            with self._lock:
                closing, self._closing = self._closing, []
                renewing = [admitted.id for admitted in self._open.values() if admitted.kept]
            done = 0
            try:
                for association_id, how in closing:
                    admission.close_association(self._database, association_id, how)
                    done += 1
                if renewing:
                    admission.renew_associations(self._database, renewing, self._lease_s)
                wait_s = renew_s
            except NodeError as error:
                self._log.warning("association rows wait for the database", error=str(error), count=len(closing) - done)
                wait_s = min(RETRY_S, renew_s)
            with self._lock:
                self._closing[:0] = closing[done:]
            if self._stopping and self._closing:
                self._wake.wait(RETRY_S)
