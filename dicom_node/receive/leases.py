"""Leased rows of open associations: written with the first instance, renewed while the association lasts, closed at its end.

The rows of a listener that was killed are not renewed, and the conductor closes them when their lease has expired. Closing happens in a
thread of its own: a database that is unavailable does not delay a release, and the row is closed when the database is back.
"""

import threading
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import structlog

from core.errors import NodeError, StorageError
from core.policy.admission import CallerRights
from db.engine import Database
from db.receive import admission

AssociationEnd = Literal["released", "aborted", "lost"]
RETRY_S = 0.5


@dataclass(slots=True)
class AdmittedAssociation:
    """One association that was accepted. ``has_row``: whether it is in the database."""

    id: UUID
    calling_ae: str
    called_ae: str
    address: str
    rights: CallerRights
    has_row: bool = False


class AssociationLeases:
    """The admitted associations of one listener process. Their number is limited, and their end is waited for, here."""

    def __init__(self, database: Database, *, listener: str, lease_s: float) -> None:
        self._database = database
        self._listener = listener
        self._lease_s = lease_s
        self._changed = threading.Condition()
        self._open: dict[int, AdmittedAssociation] = {}
        self._ended: list[tuple[UUID, AssociationEnd]] = []
        self._wake = threading.Event()
        self._stopping = False
        self._log = structlog.get_logger()
        self._thread = threading.Thread(target=self._run, name="association-leases", daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Return how many associations are open."""
        with self._changed:
            return len(self._open)

    def wait_until_none(self, timeout_s: float) -> bool:
        """Wait until no association is open. False where some still are after ``timeout_s``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout_s)

    def admit(self, key: int, *, calling_ae: str, called_ae: str, address: str, rights: CallerRights) -> AdmittedAssociation:
        """Add an association. ``key`` identifies it within this process."""
        admitted = AdmittedAssociation(uuid4(), calling_ae, called_ae, address, rights)
        with self._changed:
            self._open[key] = admitted
        return admitted

    def find(self, key: int) -> AdmittedAssociation | None:
        """Return the open association of this key."""
        with self._changed:
            return self._open.get(key)

    def ensure_row(self, admitted: AdmittedAssociation) -> UUID:
        """Return the id of the association's row, which is inserted before the association's first instance.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        if not admitted.has_row:
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
                admitted.id = uuid4()  # the row may have been committed all the same: its lease expires by itself
                raise
            admitted.has_row = True
        return admitted.id

    def end(self, key: int, how: AssociationEnd) -> None:
        """Remove an association that is over, and have its row closed. Returns at once."""
        with self._changed:
            admitted = self._open.pop(key, None)
            if admitted is not None and admitted.has_row:
                self._ended.append((admitted.id, how))
            self._changed.notify_all()
        self._wake.set()

    def stop(self, timeout_s: float) -> None:
        """Close the rows of ended associations, then end the thread; wait for it at most ``timeout_s``."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        wait_s = renewal_s = self._lease_s / 3
        while not (self._stopping and not self._ended):
            self._wake.wait(wait_s)
            self._wake.clear()
            with self._changed:
                ended, self._ended = self._ended, []
                open_rows = [admitted.id for admitted in self._open.values() if admitted.has_row]
            closed = 0
            try:
                for association_id, how in ended:
                    admission.close_association(self._database, association_id, how)
                    closed += 1
                if open_rows:
                    admission.renew_associations(self._database, open_rows, self._lease_s)
                wait_s = renewal_s
            except NodeError as error:
                self._log.warning("association_rows_not_updated", error=str(error), count=len(ended) - closed)
                wait_s = min(RETRY_S, renewal_s)
            with self._changed:
                self._ended[:0] = ended[closed:]
            if self._stopping and self._ended:
                self._wake.wait(RETRY_S)
