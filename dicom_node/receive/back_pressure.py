"""Back-pressure: new instances are refused while the disk is nearly full or too many units wait to be analysed.

A source that requests an association to store is rejected as transient (PS3.8 9.3.4: local limit exceeded) before it sends a byte.
A C-STORE on an association that is already open is answered with 0xA700. Sources keep the instances and send them again later.
C-ECHO and storage commitment go on: committed instances are what retention may delete to free the disk.
"""

import threading
from collections.abc import Iterable

import structlog

from core.errors import StorageError
from core.policy import back_pressure
from core.policy.admission import BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, REJECTED_TRANSIENT, Rejection
from core.settings.operations import WebhookEvent
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.operations import alerts
from db.receive import backlog
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.contexts import STORAGE_COMMITMENT, VERIFICATION

MEASURE_INTERVAL_S = 1.0


def pause_rejection(reason: str) -> Rejection:
    """Return the rejection of an association for storage while receiving is paused."""
    hint = "the sender tries again; free the disk or add workers: docs/operations.md"
    return Rejection(REJECTED_TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, f"receiving is paused: {reason}", hint)


class BackPressure:
    """Measures disk and backlog once a second, in a thread of its own.

    Several listeners of a node start and end a pause together: whether one is in progress is an alert row in the database.
    """

    def __init__(self, settings: Settings, database: Database, blobs: Blobs) -> None:
        self._receive = settings.receive
        self._notify = settings.webhook.sends(WebhookEvent.ALERT)
        self._database = database
        self._blobs = blobs
        self._reasons: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._loop = SupervisedLoop("back-pressure", self.measure, self._stop)
        self._log = structlog.get_logger()

    def apply(self, settings: Settings) -> None:
        """Use the limits of these settings from the next measurement on."""
        self._receive, self._notify = settings.receive, settings.webhook.sends(WebhookEvent.ALERT)

    def start(self) -> None:
        """Measure until `stop`."""
        self._loop.start()

    def stop(self) -> None:
        """Measure no more."""
        self._stop.set()
        self._loop.join(5.0)

    @property
    def pause_reason(self) -> str:
        """Why nothing is accepted now, in words for the sender; "" while instances are accepted."""
        return ", ".join(back_pressure.PAUSE_REASONS[reason] for reason in sorted(self._reasons))

    def rejection(self, abstract_syntaxes: Iterable[str]) -> Rejection | None:
        """Return the rejection of an association request while receiving is paused; None where the association is not for storing."""
        reason, requested = self.pause_reason, set(abstract_syntaxes)
        if not reason or STORAGE_COMMITMENT in requested or requested <= {VERIFICATION}:
            return None
        return pause_rejection(reason)

    def measure(self) -> float:
        """Measure and decide. The beginning and the end of a pause are recorded once for all listeners, with an audit event.

        Returns the seconds until the next measurement.

        Raises
        ------
        StorageError
            The database is unavailable; the disk was measured all the same.
        """
        disk = back_pressure.disk_limit(self._blobs.free_bytes(), self._receive.min_free_bytes)
        try:
            found = backlog.read_backlog(self._database, most=self._receive.max_waiting + 1)
        except StorageError:
            here = {"disk"} if disk.should_pause("disk" in self._reasons) else set()
            self._reasons = (self._reasons - {"disk"}) | here
            raise
        reasons = set()
        for measure in (disk, back_pressure.backlog_limit(found.units, self._receive.max_waiting)):
            before = measure.reason in found.paused
            if after := measure.should_pause(before):
                reasons.add(measure.reason)
            if after != before:
                self._record_change(measure, began=after)
        self._reasons = frozenset(reasons)
        return MEASURE_INTERVAL_S

    def _record_change(self, measure: back_pressure.ReceiveLimit, *, began: bool) -> None:
        record = alerts.begin_alert if began else alerts.end_alert
        details = {"measured": measure.value, "limit": measure.limit}
        if record(self._database, backlog.PAUSED, measure.reason, details, actor="listen", webhook=self._notify):
            log = self._log.bind(reason=back_pressure.PAUSE_REASONS[measure.reason], held=measure.value, limit=measure.limit)
            if began:
                log.error("receiving_paused")
            else:
                log.warning("receiving_resumed")
