"""The webhook: one POST of JSON for each notice, signed, tried again until it is taken or too old.

Body: ``{"id", "event", "subject", "at", "node", "attempt", "details"}``; numbers and names of the configuration, no patient data, no
UIDs. With a secret, ``X-Dicom-Node-Signature`` is ``sha256=`` and the HMAC-SHA256, in hex, over the value of
``X-Dicom-Node-Timestamp``, a dot, and the body: a receiver that checks both takes neither a forged notice nor an old one again.
"""

import hashlib
import hmac
import json
import threading
import time
from pathlib import Path

import requests
import structlog

from core.clock import Clock, system_clock
from core.errors import NodeError
from core.settings.operations import WebhookSection
from core.settings.settings import Settings
from db.engine import Database
from db.operations import webhook_notices
from db.operations.webhook_notices import Notice

TURN_S = 1.0
RETRY_BASE_S, RETRY_CAP_S = 5.0, 900.0
GIVE_UP_AFTER_S = 3 * 86400.0
LEASE_S = 60.0
RESPONSE_TIMEOUT_S = 10.0  # longer than any receiver takes; a notification that times out is sent again


def body_of(notice: Notice, node: str) -> bytes:
    """What is posted: canonical, so that what was signed can be shown."""
    content = {
        "id": notice.id,
        "event": notice.event,
        "subject": notice.subject,
        "at": notice.at.isoformat(),
        "node": node,
        "attempt": notice.attempts,
        "details": notice.details,
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def post(webhook: WebhookSection, body: bytes, event: str, clock: Clock = system_clock) -> str:
    """ "" where it was taken (2xx); else why not, without the URL, which may be a secret. Never raises for what the peer does."""
    headers = {"Content-Type": "application/json", "User-Agent": "dicom-node", "X-Dicom-Node-Event": event}
    headers["X-Dicom-Node-Timestamp"] = timestamp = str(int(clock().timestamp()))
    if webhook.secret:
        headers["X-Dicom-Node-Signature"] = signature(webhook.secret, timestamp, body)
    with requests.Session() as session:
        session.trust_env = False  # no proxy, bundle or .netrc that the configuration does not name
        try:
            verify = str(_readable(webhook.ca)) if webhook.ca is not None else True
            answer = session.post(
                webhook.url, data=body, headers=headers, timeout=RESPONSE_TIMEOUT_S, verify=verify, allow_redirects=False, stream=True
            )
            answer.close()  # what it says is not read: it may be of any length
        except requests.exceptions.SSLError:
            return "its certificate is not accepted, or it speaks no TLS"
        except (requests.RequestException, OSError, ValueError) as error:
            return f"out of reach: {type(error).__name__}"
    return "" if 200 <= answer.status_code < 300 else f"answered {answer.status_code}"


def _readable(path: Path) -> Path:
    with path.open("rb"):
        return path


class Telling(threading.Thread):
    """Posts what is due, one after the other, until stopped."""

    def __init__(self, settings: Settings, database: Database, stop: threading.Event) -> None:
        super().__init__(name="telling", daemon=True)
        self._settings = settings
        self._database = database
        self._stop_event = stop
        self._log = structlog.get_logger()

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                told = self.turn()
            except NodeError as error:
                self._log.warning("notices wait for the database", error=str(error))
                told = False
            if not told:
                self._stop_event.wait(TURN_S)

    def turn(self) -> bool:
        """Post the notice that is due the longest; False where none is.

        Raises
        ------
        StorageError
            The database is out of reach.
        """
        webhook = self._settings.webhook
        notice = webhook_notices.claim(self._database, lease_s=LEASE_S + RESPONSE_TIMEOUT_S)
        if notice is None:
            return False
        began = time.monotonic()
        why = post(webhook, body_of(notice, self._settings.node.ae_title), notice.event)
        log = self._log.bind(kind=notice.event, attempt=notice.attempts, seconds=round(time.monotonic() - began, 3))
        if not why:
            webhook_notices.sent(self._database, notice)
            log.info("the webhook was told")
        elif (self._database.now() - notice.at).total_seconds() > GIVE_UP_AFTER_S:
            webhook_notices.failed(self._database, notice, f"given up: {why}")
            log.error("the webhook was never told", reason=why)
        else:
            in_s = min(RETRY_CAP_S, RETRY_BASE_S * 2 ** min(notice.attempts - 1, 30))
            webhook_notices.later(self._database, notice, why=why, in_s=in_s)
            log.warning("the webhook waits", reason=why)
        return True
