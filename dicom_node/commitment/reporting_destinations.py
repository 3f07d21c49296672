"""Which destinations may open an association to bring an answer, and from which addresses."""

import socket
import threading
import time
from collections.abc import Sequence

import structlog

from core.policy.admission import Reporter
from core.settings.destinations import Destination
from core.settings.settings import Settings

FRESH_S = 60.0  # a name is looked up again after this


class Reporters:
    """The destinations with ``storage_commitment``, their host names looked up when one of their titles calls."""

    def __init__(self, settings: Settings) -> None:
        self._destinations = [one for one in settings.destinations if one.storage_commitment and one.ae_title is not None]
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def of(self, ae_title: str) -> tuple[Reporter, ...]:
        """Those with this AE title."""
        return tuple(Reporter(ae_title, self._addresses(one.host or "")) for one in self._named(ae_title))

    def names(self, ae_title: str) -> Sequence[str]:
        """What the configuration calls them."""
        return [one.name for one in self._named(ae_title)]

    def _named(self, ae_title: str) -> list[Destination]:
        return [one for one in self._destinations if one.ae_title == ae_title]

    def _addresses(self, host: str) -> frozenset[str]:
        with self._lock:
            looked, found = self._known.get(host, (0.0, frozenset()))
        if looked and time.monotonic() - looked < FRESH_S:
            return found
        try:
            found = frozenset(str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except OSError as error:  # the last answer serves on
            structlog.get_logger().warning("a destination's name cannot be looked up", reason=error.strerror or type(error).__name__)
        with self._lock:
            self._known[host] = (time.monotonic(), found)
        return found
