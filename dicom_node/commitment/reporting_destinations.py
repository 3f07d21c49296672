"""Which destinations may request an association to report on storage commitment, and from which addresses."""

import socket
import threading
import time
from collections.abc import Sequence

import structlog

from core.policy.admission import ReportingPeer
from core.settings.peers.destinations import Destination
from core.settings.settings import Settings

CACHE_S = 60.0  # a host name is resolved again after this time


class ReportingDestinations:
    """The destinations with ``storage_commitment``. Their host names are resolved when a peer with one of their AE titles calls."""

    def __init__(self, settings: Settings) -> None:
        self._resolved: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()
        self.apply(settings)

    def apply(self, settings: Settings) -> None:
        """Use the destinations of these settings from now on."""
        self._destinations = [one for one in settings.destinations if one.storage_commitment and one.ae_title is not None]

    def of_title(self, ae_title: str) -> tuple[ReportingPeer, ...]:
        """Return the destinations with this AE title, and their addresses."""
        return tuple(ReportingPeer(ae_title, self._addresses(one.host or "")) for one in self._with_title(ae_title))

    def names(self, ae_title: str) -> Sequence[str]:
        """Return the names of the destinations with this AE title."""
        return [one.name for one in self._with_title(ae_title)]

    def _with_title(self, ae_title: str) -> list[Destination]:
        return [one for one in self._destinations if one.ae_title == ae_title]

    def _addresses(self, host: str) -> frozenset[str]:
        with self._lock:
            resolved_at, found = self._resolved.get(host, (0.0, frozenset()))
        if resolved_at and time.monotonic() - resolved_at < CACHE_S:
            return found
        try:
            found = frozenset(str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except OSError as error:  # the previous addresses are used again
            structlog.get_logger().warning("destination_name_not_resolved", reason=error.strerror or type(error).__name__)
        with self._lock:
            self._resolved[host] = (time.monotonic(), found)
        return found
