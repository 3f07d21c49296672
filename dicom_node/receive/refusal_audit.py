"""Audit events of rejected associations and failed TLS handshakes, limited to one a minute for the same refusal."""

import threading
import time

import structlog

from core.errors import NodeError
from core.policy.admission import SHUTTING_DOWN, TOO_MANY_ASSOCIATIONS, Rejection
from db import audit
from db.engine import Database

REPEAT_INTERVAL_S = 60.0
MAX_REMEMBERED = 1000


class RefusalAudit:
    """Writes audit events. Refusals that repeat within a minute are counted, and their number is part of the next event."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._last: dict[tuple[str, ...], tuple[float, int]] = {}  # refusal -> time of its last event, repetitions since

    def record(self, rejection: Rejection, *, calling_ae: str, called_ae: str, address: str) -> None:
        """Record a rejected association. A database that is unavailable is logged."""
        repeated = self._repetitions((rejection.description, calling_ae, called_ae, address))
        if repeated is None:
            return
        details = {
            "calling_ae": calling_ae,
            "called_ae": called_ae,
            "address": address,
            "reason": rejection.description,
            "result": rejection.result,
            "source": rejection.source,
            "diagnostic": rejection.reason,
            "repeated": repeated,
        }
        action = "association.deferred" if rejection in (TOO_MANY_ASSOCIATIONS, SHUTTING_DOWN) else "association.refused"
        try:
            audit.record_now(self._database, actor="listen", action=action, subject=f"association:{calling_ae}", details=details)
        except NodeError as error:
            structlog.get_logger().error("refusal_not_audited", calling_ae=calling_ae, error=str(error))

    def record_handshake(self, *, address: str, reason: str) -> None:
        """Record a TLS handshake that failed. A database that is unavailable is logged."""
        repeated = self._repetitions(("tls", address, reason))
        if repeated is None:
            return
        details = {"address": address, "reason": reason, "repeated": repeated}
        try:
            audit.record_now(self._database, actor="listen", action="tls.refused", subject=f"address:{address}", details=details)
        except NodeError as error:
            structlog.get_logger().error("tls_refusal_not_audited", address=address, error=str(error))

    def _repetitions(self, refusal: tuple[str, ...]) -> int | None:
        """How often the refusal was repeated since its last event; None where that is too recent for another event."""
        with self._lock:
            at, repeated = self._last.get(refusal, (0.0, 0))
            now = time.monotonic()
            if at and now - at < REPEAT_INTERVAL_S:
                self._last[refusal] = (at, repeated + 1)
                return None
            if len(self._last) > MAX_REMEMBERED:  # a scan of the network must not use up memory
                self._last.clear()
            self._last[refusal] = (now, 0)
            return repeated
