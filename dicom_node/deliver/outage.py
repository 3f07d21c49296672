"""The outage of one destination: nothing is sent while it lasts, and the destination is probed with growing intervals."""

import time

import structlog

from core.errors import NodeError
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings
from db import audit
from db.deliveries.delivery_admin import make_deliveries_due
from db.engine import Database
from dicom_node.deliver.transports import echo


class DestinationOutage:
    """Whether a destination is unavailable, as one sender sees it. Changed only by the destination's own thread."""

    def __init__(self, settings: Settings, database: Database, destination: Destination) -> None:
        self._settings = settings
        self._database = database
        self._destination = destination
        self._since: float | None = None
        self._next_probe = 0.0
        self._probes = 0
        self._unreachable = False
        self._log = structlog.get_logger().bind(destination=destination.name)

    @property
    def active(self) -> bool:
        """Whether the outage lasts."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long the outage has lasted; 0 while there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def begin(self, reason: str, *, unreachable: bool) -> None:
        """Begin or prolong the outage. The probing intervals keep growing while a destination answers probes but accepts no object.

        Parameters
        ----------
        unreachable
            The destination did not respond at all; otherwise the connection was lost while something was sent.
        """
        self._unreachable = self._unreachable or unreachable
        if self._since is None:
            self._since = time.monotonic()
            self._log.error("destination_unavailable", reason=reason)
            self._audit("destination.away", {"reason": reason})
        self._probes += 1
        rules = self._settings.delivery
        longest = max(rules.probe_cap_s, rules.retry_base_s)
        self._next_probe = time.monotonic() + min(longest, rules.retry_base_s * 2 ** min(self._probes - 1, 30))

    def probe(self) -> bool:
        """Probe the destination if it is time to. Returns whether the outage is over; then the waiting deliveries are due."""
        if time.monotonic() < self._next_probe:
            return False
        ok, text, _ = echo(self._settings, self._destination)
        if not ok:
            self.begin(text, unreachable=True)
            return False
        # After a lost connection the delivery that was being sent keeps its delay: it may be the cause, and others are sent first.
        due = make_deliveries_due(self._database, self._destination.name) if self._unreachable else 0
        away_s, self._since, self._unreachable = self.seconds, None, False
        self._log.warning("destination_available", seconds=round(away_s, 1), count=due)
        self._audit("destination.back", {"away_s": round(away_s, 1)})
        return True

    def record_success(self) -> None:
        """An object was stored: the next outage begins with short probing intervals."""
        self._probes = 0

    def _audit(self, action: str, details: dict[str, object]) -> None:
        try:
            audit.record_now(
                self._database, actor="sender", action=action, subject=f"destination:{self._destination.name}", details=details
            )
        except NodeError as error:
            self._log.error("outage_not_audited", error=str(error))
