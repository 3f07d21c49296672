"""Asking sources for expected counts beside the conductor's loop: a source that hangs holds up nobody else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from core.errors import NodeError
from core.settings.settings import Settings
from core.settings.sources import PeerAddress
from db.complete import units
from db.engine import Database
from db.records import UnitView
from dicom_node.conduct.series_query import count_instances

AT_ONCE = 4
AFTER_FAILURE_S = 30.0


class Counts:
    """Counts in progress, at most one per unit; a source that failed is left alone for a while."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._addresses = {source.ae_title: source.query for source in settings.sources if source.query is not None}
        self._asking: set[int] = set()
        self._not_before: dict[str, float] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="c-find")
        self._log = structlog.get_logger()

    def ask(self, unit: UnitView) -> bool:
        """Start a count where the unit's source can be asked; the answer lands in the unit's row.

        Returns at once: whether an answer is on its way.
        """
        address = self._addresses.get(unit.source)
        with self._lock:
            if unit.id in self._asking:
                return True
            if address is None or time.monotonic() < self._not_before.get(unit.source, 0.0):
                return False
            self._asking.add(unit.id)
        self._pool.submit(self._ask, unit, address)
        return True

    def _ask(self, unit: UnitView, address: PeerAddress) -> None:
        try:
            count = count_instances(
                self._settings.node.ae_title,
                address,
                study_instance_uid=unit.study_instance_uid,
                series_instance_uid=unit.series_instance_uid,
            )
            if count.value is None:
                self._log.warning("the source gave no count", source=unit.source, unit=unit.id, reason=count.words)
                with self._lock:
                    self._not_before[unit.source] = time.monotonic() + AFTER_FAILURE_S
            else:
                units.record_expected(self._database, unit.id, count.value)
        except NodeError as error:
            self._log.error("a count could not be kept", unit=unit.id, error=str(error))
        except Exception as error:  # a thread of a pool keeps its errors to itself: say so
            self._log.error("a count failed", source=unit.source, unit=unit.id, exception=type(error).__name__)
        finally:
            with self._lock:
                self._asking.discard(unit.id)

    def close(self) -> None:
        """Start no more; those in progress end by their own time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
