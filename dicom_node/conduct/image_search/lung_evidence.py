"""Lungs in the images of a unit, as an attribute for the routes: looked for in a child process with limits, each series once.

The conductor asks without waiting, so that one series delays no other.
"""

import hashlib
import json
import signal
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from core.errors import ImagesUnreadable
from core.policy.routes.body_part.condition import NOT_SEEN, LungsSeen
from core.policy.routes.routing import UNREADABLE_NOW

TIMEOUT_S = 120.0
REMEMBERED, UNASKED = 256, 4096
UNREADABLE: LungsSeen = (NOT_SEEN, "the images cannot be read within the limits")


def look_for_lungs(paths: Sequence[Path], *, timeout_s: float = TIMEOUT_S) -> LungsSeen:
    """Look for lungs in the files of one series. Files that cannot be read within the limits show none.

    Raises
    ------
    ImagesUnreadable
        A file is missing or cannot be read now, or the process that reads them cannot be started.
    """
    command = [sys.executable, "-m", "dicom_node.conduct.image_search.lung_process"]
    order = json.dumps([str(path) for path in paths]).encode()
    try:
        done = subprocess.run(command, input=order, capture_output=True, timeout=timeout_s, check=False)
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        answer = None
    except OSError as error:
        hint = "is memory short, or are too many processes or files open? It is tried again"
        raise ImagesUnreadable(f"{UNREADABLE_NOW}: the process that reads them cannot be started: {error.strerror}", hint=hint) from error
    else:
        if done.returncode == -signal.SIGBUS:  # the disk has failed under a file that is mapped into memory
            answer = "the disk does not give their bytes"
    if isinstance(answer, str):
        raise ImagesUnreadable(f"{UNREADABLE_NOW}: {answer}", hint="see the disk that holds node.data_dir; they are read again")
    if answer is None:
        structlog.get_logger().warning("lung_search_failed", outcome="counts as no lungs")
        return UNREADABLE
    seen, words = answer
    return str(seen), str(words)


class LungEvidence:
    """Answers by the contents of a series; the last 256 that were given are remembered. One search runs at a time. For one thread."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="lung-search")
        self._searches: dict[bytes, Future[LungsSeen]] = {}  # until their answers are given, however many series wait
        self._answers: OrderedDict[bytes, LungsSeen] = OrderedDict()

    def request(self, paths: Sequence[Path]) -> LungsSeen | None:
        """Return what was seen in the files of a series, in their order; None while the search runs. A search that failed is repeated.

        Raises as `look_for_lungs`.
        """
        key = hashlib.sha256("\n".join(map(str, paths)).encode()).digest()  # blobs are named by their content
        if key not in self._answers:
            if key not in self._searches:
                self._forget_unasked()
                self._searches[key] = self._pool.submit(look_for_lungs, tuple(paths))
            if not self._searches[key].done():
                return None
            answer = self._searches.pop(key).result()
            if answer == UNREADABLE:
                return answer
            self._answers[key] = answer
            while len(self._answers) > REMEMBERED:
                self._answers.popitem(last=False)
        self._answers.move_to_end(key)
        return self._answers[key]

    def _forget_unasked(self) -> None:
        """Drop old answers that nobody has asked for again: their series have changed meanwhile."""
        for key in [key for key, search in self._searches.items() if search.done()][:-UNASKED]:
            del self._searches[key]

    def close(self) -> None:
        """Start no more searches; one that runs ends with its time-out."""
        self._pool.shutdown(wait=False, cancel_futures=True)
