"""How many connections may be open: in all, and from addresses that have never shown a token.

A peer without a token keeps its connection for seconds, but can connect again at once. So addresses that have never shown one have half of
the places, and each of them a quarter.
"""

import threading
from collections import Counter

MOST_ADDRESSES = 1024  # that are remembered; a forgotten one shows its token again


class ConnectionPlaces:
    """The places of one service, counted by address. May be used from any thread."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._open: Counter[str] = Counter()
        self._known: dict[str, None] = {}  # in the order of their last token
        self._lock = threading.Lock()

    def take(self, address: str) -> bool:
        """Take a place for a new connection; return False where there is none."""
        with self._lock:
            if self._open.total() >= self._places:
                return False
            if address not in self._known:
                strangers = sum(count for one, count in self._open.items() if one not in self._known)
                if strangers >= max(1, self._places // 2) or self._open[address] >= max(1, self._places // 4):
                    return False
            self._open[address] += 1
            return True

    def authorise(self, address: str) -> None:
        """Remember that this address has shown a token."""
        with self._lock:
            self._known.pop(address, None)
            self._known[address] = None
            if len(self._known) > MOST_ADDRESSES:
                del self._known[next(iter(self._known))]

    def give_back(self, address: str) -> None:
        """Give the place of a connection back, which has ended."""
        with self._lock:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
