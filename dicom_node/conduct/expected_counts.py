"""Asks sources for expected instance counts, in threads beside the conductor's loop: a source that hangs delays nothing else."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import structlog

from core.errors import NodeError
from core.settings.peers.sources import PeerAddress
from core.settings.settings import Settings
from db.complete import units
from db.complete.unit_records import UnitView
from db.engine import Database
from dicom_node.conduct.series_query import count_instances

THREADS = 4
PAUSE_AFTER_FAILURE_S = 30.0


class ExpectedCounts:
    """Counts in progress, at most one for each unit. A source that failed is not asked again for 30 s."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._addresses = {source.ae_title: source.query for source in settings.sources if source.query is not None}
        self._in_progress: set[int] = set()
        self._paused_until: dict[str, float] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="c-find")
        self._log = structlog.get_logger()

    def request(self, unit: UnitView) -> bool:
        """Start a count where the unit's source has a query address; its result is written to the unit's row.

        Returns at once: whether a count is in progress.
        """
        address = self._addresses.get(unit.source)
        with self._lock:
            if unit.id in self._in_progress:
                return True
            if address is None or time.monotonic() < self._paused_until.get(unit.source, 0.0):
                return False
            self._in_progress.add(unit.id)
        self._pool.submit(self._count, unit, address)
        return True

    def _count(self, unit: UnitView, address: PeerAddress) -> None:
        try:
            count = count_instances(
                self._settings.node.ae_title,
                address,
                study_instance_uid=unit.study_instance_uid,
                series_instance_uid=unit.series_instance_uid,
            )
            if count.value is None:
                self._log.warning("expected_count_unavailable", source=unit.source, unit=unit.id, reason=count.text)
                with self._lock:
                    self._paused_until[unit.source] = time.monotonic() + PAUSE_AFTER_FAILURE_S
            else:
                units.record_expected_count(self._database, unit.id, count.value)
                self._log.debug("source_counted", source=unit.source, unit=unit.id, count=count.value)
        except NodeError as error:
            self._log.error("expected_count_not_stored", unit=unit.id, error=str(error))
        except Exception as error:  # the pool would drop the error without a word
            self._log.error("expected_count_failed", source=unit.source, unit=unit.id, exception=type(error).__name__)
        finally:
            with self._lock:
                self._in_progress.discard(unit.id)

    def close(self) -> None:
        """Start no more counts; those in progress end with their time-outs."""
        self._pool.shutdown(wait=False, cancel_futures=True)
