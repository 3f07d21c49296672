"""Posts notifications to the webhook: one signed POST of JSON for each, repeated until it is accepted or too old.

The body is ``{"id", "event", "subject", "at", "node", "attempt", "details"}``: numbers and names from the configuration, no patient data,
no UIDs. With a secret, ``X-Dicom-Node-Signature`` is ``sha256=`` and the HMAC-SHA256, in hexadecimal, of the value of
``X-Dicom-Node-Timestamp``, a dot, and the body. A receiver that checks both accepts neither a forged nor a replayed notification.
"""

import hashlib
import hmac
import json
import threading
import time

import structlog

from core.clock import Clock, system_clock
from core.settings.operations import WebhookSection
from core.settings.settings import Settings
from db.engine import Database
from db.operations.webhook_notifications import Notification, claim_notification, record_not_sent, record_sent, retry_notification_later
from db.roles.supervised_loop import SupervisedLoop
from dicom_node.bounded_post import Limits, NotPosted, post_within

POLL_INTERVAL_S = 1.0
RETRY_BASE_S, RETRY_CAP_S = 5.0, 900.0
MAX_AGE_S = 3 * 86400.0
LEASE_S = 60.0
RESPONSE_TIMEOUT_S = 10.0  # of the whole request, longer than any receiver takes; a notification that times out is sent again


def encode_body(notification: Notification, node: str) -> bytes:
    """Encode a notification as canonical JSON: keys sorted, no spaces. The signature is over these bytes."""
    content = {
        "id": notification.id,
        "event": notification.event,
        "subject": notification.subject,
        "at": notification.at.isoformat(),
        "node": node,
        "attempt": notification.attempts,
        "details": notification.details,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of ``X-Dicom-Node-Signature``."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def post_body(webhook: WebhookSection, body: bytes, event: str, clock: Clock = system_clock) -> str:
    """Post a body. Returns "" where it was accepted (2xx), else the problem, without the URL, which may be a secret. Never raises."""
    headers = {"Content-Type": "application/json", "X-Dicom-Node-Event": event}
    headers["X-Dicom-Node-Timestamp"] = timestamp = str(int(clock().timestamp()))
    if webhook.secret:
        headers["X-Dicom-Node-Signature"] = signature(webhook.secret, timestamp, body)
    try:
        status, _ = post_within(Limits(seconds=RESPONSE_TIMEOUT_S), webhook.url, body, headers, webhook.ca)
    except NotPosted as problem:
        return str(problem)
    return "" if 200 <= status < 300 else f"answered {status}"


class WebhookPoster:
    """Posts the notifications that are due, one after the other (``loop``)."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event) -> None:
        self._settings = settings
        self._database = database
        self._log = structlog.get_logger()
        self.loop = SupervisedLoop("webhook", lambda: 0.0 if self.post_next() else POLL_INTERVAL_S, stop)

    def post_next(self) -> bool:
        """Post the notification that has been due longest. Returns False where none is due.

        Raises
        ------
        StorageError
            The database is unavailable.
        """
        webhook = self._settings.webhook
        notification = claim_notification(self._database, lease_s=LEASE_S + RESPONSE_TIMEOUT_S)
        if notification is None:
            return False
        began = time.monotonic()
        problem = post_body(webhook, encode_body(notification, self._settings.node.ae_title), notification.event)
        log = self._log.bind(kind=notification.event, attempt=notification.attempts, seconds=round(time.monotonic() - began, 3))
        if not problem:
            record_sent(self._database, notification)
            log.info("notification_posted")
        elif (self._database.now() - notification.at).total_seconds() > MAX_AGE_S:
            record_not_sent(self._database, notification, f"too old: {problem}")
            log.error("notification_failed", reason=problem)
        else:
            delay_s = min(RETRY_CAP_S, RETRY_BASE_S * 2 ** min(notification.attempts - 1, 30))
            retry_notification_later(self._database, notification, why=problem, in_s=delay_s)
            log.warning("notification_postponed", reason=problem, seconds=delay_s)
        return True
