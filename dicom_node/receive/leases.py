"""Leased rows of open associations: written with the first instance, renewed while the association lasts, closed at its end.

The rows of a listener that was killed are not renewed, and the conductor closes them when their lease has expired. Closing happens in a
thread of its own: a database that is unavailable does not delay a release, and the row is closed when the database is back.
"""

import threading
import time
from dataclasses import dataclass
from typing import Literal
from uuid import UUID, uuid4

import structlog

from core.errors import NodeError, StorageError
from core.policy.admission import CallerRights
from db.engine import Database
from db.receive.associations import close_association, open_association, renew_associations
from db.roles.supervised_loop import SupervisedLoop
from db.roles.wake_up import WakeUp

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
        self._stop = threading.Event()
        self._wake_up = WakeUp(self._stop)
        self._loop = SupervisedLoop("association-leases", self._update_rows, self._stop, wait=self._wake_up.subscribe())
        self._loop.start()

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
                open_association(
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
        self._wake_up.wake_all()
        if admitted is not None:
            structlog.get_logger().debug("association_ended", calling_ae=admitted.calling_ae, address=admitted.address, state=how)

    def stop(self, timeout_s: float) -> None:
        """End the thread, and close the rows of ended associations that are left; give up after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        self._stop.set()
        self._wake_up.wake_all()
        self._loop.join(timeout_s)
        while self._ended and time.monotonic() < deadline:
            try:
                self._close_ended()
            except NodeError:
                time.sleep(RETRY_S)
        if self._ended:  # their leases expire
            structlog.get_logger().warning("association_rows_not_closed", count=len(self._ended))

    def _update_rows(self) -> float:
        """Close the rows of ended associations, and renew the others. Returns the seconds until the next renewal."""
        self._close_ended()
        with self._changed:
            open_rows = [admitted.id for admitted in self._open.values() if admitted.has_row]
        if open_rows:
            renew_associations(self._database, open_rows, self._lease_s)
        return self._lease_s / 3

    def _close_ended(self) -> None:
        """Close rows one by one; what fails is left for the next call."""
        while self._ended:
            association_id, how = self._ended[0]
            close_association(self._database, association_id, how)
            with self._changed:
                self._ended.pop(0)
