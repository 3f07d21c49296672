"""Anchors the audit trail every minute and every N events; a loop of the role ``send``.

The file comes first: it needs no network. A recipient that is unreachable delays nothing. It gets the next anchor, which covers the earlier
ones, and the status page says since when it has none.
"""

import threading
import time
from collections.abc import Callable

import structlog

from core.errors import NodeError
from core.settings.peers.tls import ClientTls
from core.settings.settings import Settings
from db.anchor import anchor_state, anchor_writer
from db.anchor.anchor_file import SignedLine
from db.anchor.anchor_key import load_private_key
from db.engine import Database
from db.operations.webhook_notifications import add_notification
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.anchor.syslog import send_to_syslog
from dicom_node.anchor.time_stamp import request_time_stamp

CHECK_INTERVAL_S = 5.0  # how often new events are counted
SYSLOG, WEBHOOK, TIME_STAMP = "syslog", "webhook", "time stamp"


class AnchorLoop:
    """Takes anchors and sends them on (``loop``)."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event) -> None:
        self._settings, self._database = settings, database
        self._next_anchor = self._next_stamp = 0.0
        self._unsent: dict[str, SignedLine] = {}
        self._log = structlog.get_logger()
        self.loop = SupervisedLoop("anchor", self.step, stop)

    def step(self) -> float:
        """Take an anchor if one is due, and send what recipients have not got. Returns the seconds until the next call.

        Raises
        ------
        ConfigurationError
            The key cannot be used.
        StorageError
            The database or the file of the anchors is unavailable.
        """
        section = self._settings.audit
        now = time.monotonic()
        due = now >= self._next_anchor or anchor_state.events_since_anchor(self._database) >= section.anchor_every_events
        if due:
            self._next_anchor = now + section.anchor_every_s
            line = self.take()
            if line is not None:
                self._unsent |= dict.fromkeys(self._recipients(), line)
        self._send()
        return min(CHECK_INTERVAL_S, section.anchor_every_s)

    def take(self) -> SignedLine | None:
        """Take an anchor now; None where nothing was added to the trail, or the trail does not fit its last anchor."""
        try:
            line = anchor_writer.take_anchor(self._database, self._settings.anchor_file, load_private_key(self._settings.anchor_key))
        except (NodeError, OSError) as error:
            anchor_state.record_problem(self._database, str(error))
            raise
        if line is not None:
            self._log.info("audit_anchored", count=line.anchor.number)
        return line

    def _recipients(self) -> dict[str, Callable[[SignedLine], str]]:
        """Return name -> function that sends a line, and returns the problem or ""."""
        section = self._settings.audit
        found: dict[str, Callable[[SignedLine], str]] = {}
        if section.syslog_url:
            found[SYSLOG] = self._to_syslog
        if section.to_webhook and self._settings.webhook.url:
            found[WEBHOOK] = self._to_webhook
        if section.time_stamp_url:
            found[TIME_STAMP] = self._to_time_stamp_service
        return found

    def _send(self) -> None:
        recipients = self._recipients()
        for name, line in list(self._unsent.items()):
            if name == TIME_STAMP and time.monotonic() < self._next_stamp:
                continue
            problem = recipients[name](line) if name in recipients else ""
            if problem:
                self._log.warning("anchor_not_sent", name=name, reason=problem)
            else:
                del self._unsent[name]
            anchor_state.record_sent(self._database, name, problem)

    def _to_syslog(self, line: SignedLine) -> str:
        section = self._settings.audit
        tls = ClientTls(ca=section.syslog_ca, cert=section.syslog_cert, key=section.syslog_key)
        return send_to_syslog(section.syslog_url, tls, self._settings.node.ae_title, line.line.decode())

    def _to_webhook(self, line: SignedLine) -> str:
        anchor = line.anchor
        details = {"number": anchor.number, "hash": anchor.hash, "at": anchor.at, "line": line.digest}
        with self._database.begin() as connection:
            add_notification(connection, f"anchor:{line.digest}", "audit.anchored", "audit", details)
        return ""

    def _to_time_stamp_service(self, line: SignedLine) -> str:
        section = self._settings.audit
        assert section.time_stamp_ca is not None  # AuditSection checks it
        token, problem = request_time_stamp(section.time_stamp_url, section.time_stamp_ca, line.line)
        if not problem:
            self._next_stamp = time.monotonic() + section.time_stamp_every_s
            anchor_writer.append_time_stamp(
                self._database, self._settings.anchor_file, load_private_key(self._settings.anchor_key), line, token
            )
        return problem
