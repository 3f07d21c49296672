"""Renews the leases of a batch of deliveries while it is sent, however long one object takes.

Otherwise a lease that expires within one sending has the object sent once more: a large upload over a slow line, or an object that the
destination refuses deflated just before its time-out and then has to answer for again.
"""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog

from core.errors import StorageError
from db.deliveries import delivery_leases
from db.deliveries.delivery_leases import ClaimedDelivery
from db.engine import Database

RENEWALS = 3  # within the time of a lease


class LeaseRenewal:
    """Renews the leases from `__enter__` to `__exit__`, each time a third of their time is over; not those that were lost or settled."""

    def __init__(self, database: Database, claimed: Sequence[ClaimedDelivery], lease_s: float) -> None:
        self._database = database
        self._claimed = claimed
        self._lease_s = lease_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery-leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._lease_s / RENEWALS):
            try:
                delivery_leases.renew_deliveries(self._database, self._claimed, self._lease_s)
            except StorageError as error:
                structlog.get_logger().warning("delivery_leases_not_renewed", error=str(error))
