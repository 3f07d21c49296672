"""Finds conditions that need a person, and records when each begins and ends; a loop of the role ``send``.

Each check compares the conditions of this moment with the alerts that are open. The log, the audit trail, a metric and the webhook say what
began and what is over. A check that fails changes nothing.
"""

import shutil
import threading
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from core.settings.operations import WebhookEvent
from core.settings.settings import Settings
from db.engine import Database
from db.operations import alerts
from db.operations.status import NodeStatus, node_status
from db.operations.unrouted_sources import unrouted_sources
from db.operations.webhook_notifications import collect_notifications
from db.roles.heartbeats import missing_roles
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.notify.model_watch import ACCEPTANCE, DRIFT, ModelWatcher

CHECK_INTERVAL_S = 5.0
SILENT_AFTER_S = 60.0  # 20 missed heartbeats: a restart of a role takes less
UNAVAILABLE_AFTER_S = 10.0  # longer than the age of a heartbeat, and than a short pause of an archive
ROLES = ("listen", "conduct", "relay", "worker", "send")
DESTINATION_UNAVAILABLE, BACKLOG, DISK_LOW, ROLE_SILENT = "destination.away", "backlog", "disk.low", "role.silent"
UNITS_WITHOUT_RESULT, SERIES_UNROUTED, ANCHOR = "units.without_result", "series.unrouted", "audit.anchor"
UNITS_UNREADABLE = "units.unreadable"
KINDS = (
    *(DESTINATION_UNAVAILABLE, BACKLOG, DISK_LOW, ROLE_SILENT, UNITS_WITHOUT_RESULT, UNITS_UNREADABLE, SERIES_UNROUTED, ANCHOR),
    *(ACCEPTANCE, DRIFT),
)

Conditions = Mapping[tuple[str, str], Mapping[str, Any]]
"""(kind, subject) -> details: numbers only, no patient data."""


def find_conditions(settings: Settings, database: Database) -> Conditions:
    """Return the conditions that need a person now.

    Raises
    ------
    StorageError
        The database is unavailable.
    """
    rules = settings.webhook
    status = node_status(database)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for destination, seconds in status.away_s.items():
        if seconds > UNAVAILABLE_AFTER_S:
            found[DESTINATION_UNAVAILABLE, destination] = {"away_s": round(seconds)}
    if status.oldest_queued_s > rules.backlog_after_s:
        waiting = sum(queue.waiting for queue in status.queues.values())
        found[BACKLOG, ""] = {"oldest_s": round(status.oldest_queued_s), "waiting": waiting}
    try:
        free = shutil.disk_usage(settings.node.data_dir).free
    except OSError:
        free = 0  # a missing folder is reported like a full disk
    if free < rules.disk_low_bytes:
        found[DISK_LOW, ""] = {"free_bytes": free, "limit": rules.disk_low_bytes}
    for cause in ("moved", "unreadable"):  # no route is the regular end of localizers and reports
        if count := status.without_job.get(cause, 0):
            found[UNITS_WITHOUT_RESULT, cause] = {"count": count}
    if status.units_unreadable:
        found[UNITS_UNREADABLE, ""] = {"count": status.units_unreadable}
    if rules.unrouted_series:
        for source, count in unrouted_sources(database, rules.unrouted_series).items():
            found[SERIES_UNROUTED, source] = {"count": count}
    found |= _anchor_conditions(settings, status)
    for role, seconds in missing_roles(database, ROLES, SILENT_AFTER_S).items():
        found[ROLE_SILENT, role] = {"silent_s": round(seconds)}
    return found


def _anchor_conditions(settings: Settings, status: NodeStatus) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the conditions of the anchor of the audit trail: it does not fit or cannot be written, or it is old."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if status.anchor is not None and status.anchor.problem:
        found[ANCHOR, "problem"] = {"number": status.anchor.number}
    if status.anchor is not None and status.anchor.age_s > settings.audit.max_age_s:
        found[ANCHOR, "old"] = {"age_s": round(status.anchor.age_s)}
    return found


class AlertMonitor:
    """Checks every five seconds (``loop``). Several senders agree through the database on what began and what is over."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event) -> None:
        self._settings = settings
        self._database = database
        self._notify = settings.webhook.sends(WebhookEvent.ALERT)
        self._models = ModelWatcher(settings, database)
        self._log = structlog.get_logger()
        # The first check is delayed: roles that are starting with this one have no new heartbeat yet.
        self.loop = SupervisedLoop("alert-monitor", self.check, stop, delay_s=CHECK_INTERVAL_S)

    def check(self) -> float:
        """Check once. Returns the seconds until the next check.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        conditions = {**find_conditions(self._settings, self._database), **self._models.broken_rules()}
        known = {(alert.kind, alert.subject): alert.age_s for alert in alerts.current_alerts(self._database) if alert.kind in KINDS}
        for (kind, subject), details in conditions.items():
            if (kind, subject) not in known and self._record(alerts.begin_alert, kind, subject, details):
                self._log.error("alert_began", kind=kind, name=subject)
            if kind in (ACCEPTANCE, DRIFT):
                self._models.act(kind, subject, lasts_s=known.get((kind, subject), 0.0))
        for kind, subject in known.keys() - conditions.keys():
            if self._record(alerts.end_alert, kind, subject, {}):
                self._log.warning("alert_ended", kind=kind, name=subject)
        if self._settings.webhook.url:
            collect_notifications(self._database, self._settings.webhook.events)
        return CHECK_INTERVAL_S

    def _record(self, change: Callable[..., bool], kind: str, subject: str, details: Mapping[str, Any]) -> bool:
        # An outage of a destination is audited by `deliver.outage`, with the reason.
        audited = kind != DESTINATION_UNAVAILABLE
        return change(self._database, kind, subject, details, actor="send", webhook=self._notify, audited=audited)
