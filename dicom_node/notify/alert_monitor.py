"""What is wrong is noticed here, once, by the role ``send``: log, audit trail and metric say it, and the webhook is told.

Each look gives what is so now; what was not so before begins, what is no more ends. A look that fails changes nothing.
"""

import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from core.errors import NodeError
from core.settings.settings import Settings
from db.engine import Database
from db.operations import alerts, webhook_notices
from db.operations.status import node_status
from db.roles.missing_roles import silent

EVERY_S = 5.0
SILENT_AFTER_S = 60.0  # six missed heartbeats: a restart of a role takes less
AWAY_AFTER_S = 10.0  # longer than a heartbeat is old, and than an archive's hiccup
ROLES = ("listen", "conduct", "relay", "worker", "send")
AWAY, BACKLOG, DISK, SILENT = "destination.away", "backlog", "disk.low", "role.silent"
KINDS = (AWAY, BACKLOG, DISK, SILENT)

Wrong = Mapping[tuple[str, str], Mapping[str, Any]]


def wrong_now(settings: Settings, database: Database) -> Wrong:
    """(kind, subject) -> facts, numbers alone.

    Raises
    ------
    StorageError
        The database is out of reach.
    """
    rules = settings.webhook
    status = node_status(database)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for destination, seconds in status.away_s.items():
        if seconds > AWAY_AFTER_S:
            found[AWAY, destination] = {"away_s": round(seconds)}
    if status.oldest_queued_s > rules.backlog_after_s:
        waiting = sum(queue.waiting for queue in status.queues.values())
        found[BACKLOG, ""] = {"oldest_s": round(status.oldest_queued_s), "waiting": waiting}
    try:
        free = shutil.disk_usage(settings.node.data_dir).free
    except OSError:
        free = 0  # gone is worse than low
    if free < rules.disk_low_bytes:
        found[DISK, ""] = {"free_bytes": free, "limit": rules.disk_low_bytes}
    for role, seconds in silent(database, ROLES, SILENT_AFTER_S).items():
        found[SILENT, role] = {"silent_s": round(seconds)}
    return found


class Watching(threading.Thread):
    """Looks every five seconds until stopped. Two senders agree through the database on what began and what is over."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event) -> None:
        super().__init__(name="watching", daemon=True)
        self._settings = settings
        self._database = database
        self._stop_event = stop
        self._tell = bool(settings.webhook.url)
        self._log = structlog.get_logger()

    def look(self) -> None:
        """One look.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        wrong = wrong_now(self._settings, self._database)
        known = {(alert.kind, alert.subject) for alert in alerts.now(self._database) if alert.kind in KINDS}
        for (kind, subject), facts in wrong.items():
            if (kind, subject) not in known and self._turn(alerts.begin, kind, subject, facts):
                self._log.error("something is wrong", kind=kind, name=subject)
        for kind, subject in known - set(wrong):
            if self._turn(alerts.end, kind, subject, {}):
                self._log.warning("it is over", kind=kind, name=subject)
        if self._tell:
            webhook_notices.gather(self._database)

    def _turn(self, act: Callable[..., bool], kind: str, subject: str, facts: Mapping[str, Any]) -> bool:
        # The courier that meets an outage audits it, with the reason.
        return act(self._database, kind, subject, facts, actor="send", tell=self._tell, audited=kind != AWAY)

    def run(self) -> None:
        while not self._stop_event.wait(EVERY_S):
            try:
                self.look()
            except NodeError as error:
                self._log.warning("nothing can be watched", error=str(error))
