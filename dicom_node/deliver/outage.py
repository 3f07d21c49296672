"""A destination that is away: nothing is sent to it, it is probed with growing intervals, and somebody is told."""

import time

import structlog

from core.errors import NodeError
from core.settings.destinations import Destination
from core.settings.settings import Settings
from db import audit
from db.deliveries import delivery_leases
from db.engine import Database
from dicom_node.deliver.transports import echo


class Outage:
    """Of one destination, as one sender sees it. Only the courier's own thread changes it."""

    def __init__(self, settings: Settings, database: Database, destination: Destination) -> None:
        self._settings = settings
        self._database = database
        self._destination = destination
        self._since: float | None = None
        self._next_probe = 0.0
        self._probes = 0
        self._gone = False
        self._log = structlog.get_logger().bind(destination=destination.name)

    @property
    def away(self) -> bool:
        return self._since is not None

    @property
    def seconds(self) -> float:
        """How long it has been away; 0 while it is there."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def begin(self, why: str, *, gone: bool) -> None:
        """It could not be reached (``gone``), or broke off. The intervals go on growing where it answers probes and takes nothing."""
        self._gone = self._gone or gone
        if self._since is None:
            self._since = time.monotonic()
            self._log.error("the destination is away: its deliveries wait", reason=why)
            self._tell("destination.away", {"reason": why})
        self._probes += 1
        rules = self._settings.delivery
        longest = max(rules.probe_cap_s, rules.retry_base_s)
        self._next_probe = time.monotonic() + min(longest, rules.retry_base_s * 2 ** min(self._probes - 1, 30))

    def over(self) -> bool:
        """Whether it is there again; probes when it is time to. Then everything that waited is due, urgent first, in its order."""
        if time.monotonic() < self._next_probe:
            return False
        ok, words, _ = echo(self._settings, self._destination)
        if not ok:
            self.begin(words, gone=True)
            return False
        # Where it only broke off, what it broke off at keeps its distance: it may be the reason, and others go first.
        woken = delivery_leases.wake(self._database, self._destination.name) if self._gone else 0
        away_s, self._since, self._gone = self.seconds, None, False
        self._log.warning("the destination is back", seconds=round(away_s, 1), count=woken)
        self._tell("destination.back", {"away_s": round(away_s, 1)})
        return True

    def took_something(self) -> None:
        """It works again: the next outage begins with short intervals."""
        self._probes = 0

    def _tell(self, action: str, details: dict[str, object]) -> None:
        try:
            audit.record_now(
                self._database, actor="sender", action=action, subject=f"destination:{self._destination.name}", details=details
            )
        except NodeError as error:
            self._log.error("an outage could not be audited", error=str(error))
