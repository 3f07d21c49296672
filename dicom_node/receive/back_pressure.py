"""Back-pressure: while the disk is nearly full, or too much waits, senders are told early to keep what they have.

Who comes to store is rejected as transient (PS3.8 9.3.4: local limit exceeded) before a byte is sent; what still comes on open
associations is answered 0xA700. C-ECHO and storage commitment go on: answers to commitment are what frees the disk.
"""

import threading
from collections.abc import Callable, Iterable

import structlog

from core.errors import NodeError, StorageError
from core.policy import back_pressure
from core.policy.admission import BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, REJECTED_TRANSIENT, Rejection
from core.settings.settings import Settings
from db.blobs.store import Blobs
from db.engine import Database
from db.operations import alerts
from db.receive import backlog
from dicom_node.commitment.datasets import PUSH_MODEL
from dicom_node.contexts import VERIFICATION

EVERY_S = 1.0


class Gate(threading.Thread):
    """Looks once a second, in a thread of its own. Several listeners agree through the database's row on when a pause began and ended.

    Parameters
    ----------
    beside
        What else is to be done once a second; a database that is away is its caller's business.
    """

    def __init__(self, settings: Settings, database: Database, blobs: Blobs, *, beside: Callable[[], None] = lambda: None) -> None:
        super().__init__(name="back-pressure", daemon=True)
        self._receive = settings.receive
        self._tell = bool(settings.webhook.url)
        self._database = database
        self._blobs = blobs
        self._beside = beside
        self._reasons: frozenset[str] = frozenset()
        self._over = threading.Event()
        self._log = structlog.get_logger()

    @property
    def closed(self) -> str:
        """Why nothing is taken now, in words for the sender; "" while it is."""
        return ", ".join(back_pressure.WORDS[reason] for reason in sorted(self._reasons))

    def rejection(self, abstract_syntaxes: Iterable[str]) -> Rejection | None:
        """For an association request: None unless receiving is paused and it comes to store."""
        closed, asked = self.closed, set(abstract_syntaxes)
        if not closed or PUSH_MODEL in asked or asked <= {VERIFICATION}:
            return None
        return Rejection(REJECTED_TRANSIENT, BY_PRESENTATION, LOCAL_LIMIT_EXCEEDED, f"receiving is paused: {closed}")

    def look(self) -> None:
        """Measure and decide; begin and end of a pause are an alert, with its audit event, for all listeners together.

        Raises
        ------
        StorageError
            The database is out of reach; the disk has been judged all the same.
        """
        disk = back_pressure.disk(self._blobs.free_bytes(), self._receive.min_free_bytes)
        try:
            found = backlog.look(self._database, most=self._receive.max_waiting + 1)
        except StorageError:
            here = {"disk"} if disk.paused("disk" in self._reasons) else set()
            self._reasons = (self._reasons - {"disk"}) | here
            raise
        reasons = set()
        for measure in (disk, back_pressure.queue(found.units, self._receive.max_waiting)):
            before = measure.reason in found.paused
            if after := measure.paused(before):
                reasons.add(measure.reason)
            if after != before:
                self._turn(measure, began=after)
        self._reasons = frozenset(reasons)

    def _turn(self, measure: back_pressure.Measure, *, began: bool) -> None:
        act = alerts.begin if began else alerts.end
        details = {"measured": measure.value, "limit": measure.limit}
        if act(self._database, backlog.PAUSED, measure.reason, details, actor="listen", tell=self._tell):
            say = self._log.error if began else self._log.warning
            words = "receiving is paused" if began else "receiving goes on"
            say(words, reason=back_pressure.WORDS[measure.reason], held=measure.value, limit=measure.limit)

    def run(self) -> None:
        down = False
        while not self._over.is_set():
            try:
                self.look()
                self._beside()
                down = False
            except NodeError as error:
                if not down:
                    self._log.warning("back-pressure is judged by the disk alone", error=str(error))
                down = True
            self._over.wait(EVERY_S)

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        if self.is_alive():
            self.join(5.0)
