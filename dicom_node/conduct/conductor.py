"""The role ``conduct``: processes the units that are due, so that complete ones are routed and their jobs queued.

One loop; what may take long runs beside it: queries of sources (`expected_counts`) and comparisons of contents (`content_comparison`).
Several conductors at once do no harm: `db.complete.units.complete` compares and sets.
"""

import threading
import time
from datetime import datetime, timedelta

import structlog

from core.errors import ImagesUnreadable, NodeError
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.complete import units
from db.complete.unit_records import UnitView
from db.engine import Database
from db.notify import ChannelListener
from db.receive.associations import reap_associations
from db.roles.back_off import BackOff
from db.roles.command_runner import CommandRunner
from db.roles.role_heartbeat import RoleHeartbeat
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.conduct.commands import command_handlers
from dicom_node.conduct.content_comparison import ContentComparer
from dicom_node.conduct.unit_completion import UnitCompletion

BATCH = 50
POLL_INTERVAL_S = 0.5
SHORTEST_WAIT_S = 0.02  # another conductor may be processing the units that are due
REAP_EVERY_S = 5.0
SWEEP_EVERY_S = 10.0
FAILED_UNIT_PAUSE_S = 30.0


def run(settings: Settings, database: Database, blobs: Blobs, stop: threading.Event) -> None:
    """Process units until ``stop`` is set."""
    conductor = Conductor(settings, database, blobs)
    waiter = ChannelListener(database, "intake")
    comparer = ContentComparer(database, blobs, stop)
    comparer.loop.start()
    commands = CommandRunner("conduct", database, command_handlers(settings, database), stop)
    with commands, RoleHeartbeat(database, "conduct", conductor.details):
        SupervisedLoop("conduct", conductor.process_due_units, stop, wait=waiter.wait).run()
    conductor.close()
    comparer.loop.join(5.0)
    waiter.close()


class Conductor:
    """Processes the units that are due, and cleans up after listeners that were killed."""

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._completion = UnitCompletion(settings, database, blobs)
        self._unreadable: dict[int, BackOff] = {}  # units whose images could not be read
        self._reaped = 0.0
        self._swept = -SWEEP_EVERY_S  # the monotonic clock may start at zero with the machine
        self._log = structlog.get_logger()

    def details(self) -> dict[str, str]:
        """Return what the heartbeat says about this process."""
        return {"completed": str(self._completion.completed)}

    def close(self) -> None:
        """Start no more queries of sources."""
        self._completion.close()

    def process_due_units(self) -> float:
        """Process one batch. Returns the seconds that may pass until the next call; 0 where more units are due.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        self._reap_associations()
        self._sweep_temporary_files()
        due = units.due_units(self._database, limit=BATCH)
        now = self._database.now()
        for unit in due:
            self._process(unit, now)
        if len(due) == BATCH:
            return 0.0
        soonest_s = units.seconds_until_check(self._database)
        return POLL_INTERVAL_S if soonest_s is None else max(SHORTEST_WAIT_S, min(soonest_s, POLL_INTERVAL_S))

    def _reap_associations(self) -> None:
        """Close the rows of associations whose lease expired: their listener was killed."""
        if time.monotonic() - self._reaped <= REAP_EVERY_S:
            return
        if lost := reap_associations(self._database):
            self._log.warning("associations_lost", count=lost)
        self._reaped = time.monotonic()

    def _sweep_temporary_files(self) -> None:
        """Remove the spool files of killed listeners: a file that grows is never older than the network time-out allows."""
        if time.monotonic() - self._swept < SWEEP_EVERY_S:
            return
        self._swept = time.monotonic()
        if removed := self._blobs.sweep(2 * self._settings.receive.network_timeout_s + SWEEP_EVERY_S):
            self._log.warning("temporary_files_removed", count=removed)

    def _process(self, unit: UnitView, now: datetime) -> None:
        """Process one unit. A unit that fails is postponed, so that the others are not delayed."""
        pause_s, reason = FAILED_UNIT_PAUSE_S, ""
        try:
            if self._completion.process(unit, now):
                self._unreadable.pop(unit.id, None)
            return
        except ImagesUnreadable as error:  # the disk, a mount or a process: it is tried again until they can be read
            pause_s, reason = self._unreadable.setdefault(unit.id, BackOff(FAILED_UNIT_PAUSE_S)).next_pause_s(), str(error)
            if reason != unit.reason:
                self._log.error("unit_unreadable", unit=unit.id, error=reason)
        except NodeError as error:
            if not error.permanent:
                raise
            self._log.error("unit_failed", unit=unit.id, error=str(error))
        except Exception as error:
            self._log.error("unit_failed_unexpectedly", unit=unit.id, exception=type(error).__name__, exc_info=True)
        until = now + timedelta(seconds=pause_s)
        units.postpone_check(self._database, unit.id, revision=unit.revision, until=until, reason=reason)
