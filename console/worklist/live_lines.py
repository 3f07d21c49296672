"""The lines of open worklists that are read again after a change: computed once for all browsers that ask the same."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from db.worklist.study_filter import StudyFilter

KEEP_S = 30.0  # lines show ages
SEEN_S = 900.0
MOST_FILTERS = 200
LIVE = "X-Live"
"""Header of a list that is read again after a change; of the worklist it is the hash of the lines that the page shows."""
LinesKey = tuple[StudyFilter, str]
"""A filter, and the role of the user: the text of an empty list names the pages that the role may open."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Rendered lines, their hash, and the numbers of the studies that they show."""

    html: str
    hash: str
    studies: tuple[int, ...]


class LiveLines:
    """Keeps the lines of each filter and role until something has changed; a second browser that asks waits for the first one's lines."""

    def __init__(self) -> None:
        self._kept: dict[LinesKey, tuple[int, float, Lines]] = {}
        self._computing: dict[LinesKey, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, wanted: LinesKey, changes: int, compute: Callable[[], Lines]) -> Lines:
        """Return the lines of a filter for a role. ``changes``: how many have happened; lines of an earlier count are computed anew."""
        with self._lock:
            if len(self._kept) > MOST_FILTERS:
                self._kept.clear()
                self._computing.clear()
            own = self._computing.setdefault(wanted, threading.Lock())
        with own:
            kept = self._kept.get(wanted)
            if kept is not None and kept[0] == changes and time.monotonic() - kept[1] < KEEP_S:
                return kept[2]
            lines = compute()
            self._kept[wanted] = (changes, time.monotonic(), lines)
            return lines


class SeenRows:
    """Which rows, such as studies of the worklist, a session was recorded to have seen in a list within the last `SEEN_S`.

    An open list is read again and again: it is an audit event when it shows a row that it has not shown before, and every
    `SEEN_S`, not every few seconds.
    """

    def __init__(self) -> None:
        self._seen: dict[int, dict[int, float]] = {}
        self._lock = threading.Lock()

    def add(self, session_id: int, numbers: Sequence[int]) -> None:
        """Remember that an audit event says that the session has seen these rows."""
        now = time.monotonic()
        with self._lock:
            current = {number: at for number, at in self._seen.get(session_id, {}).items() if now - at < SEEN_S}
            self._seen[session_id] = current | dict.fromkeys(numbers, now)
            for id in [id for id, seen in self._seen.items() if not seen or now - max(seen.values()) >= SEEN_S]:
                del self._seen[id]

    def covers(self, session_id: int, numbers: Sequence[int]) -> bool:
        """Whether every row is recorded already."""
        now = time.monotonic()
        with self._lock:
            seen = self._seen.get(session_id, {})
            return all(now - seen.get(number, -SEEN_S) < SEEN_S for number in numbers)
