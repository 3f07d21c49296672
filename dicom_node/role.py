"""What every role of this package does beside its work: heartbeats, and patience with a database that is away."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable, Mapping

import structlog

from core.errors import NodeError
from core.settings.delivery import DeliverySection
from db.engine import Database
from db.roles import heartbeats

BEAT_S = 3.0
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.2, 5.0


def role_name() -> str:
    """The name of this process among those of its role."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Beating:
    """Beats the heartbeat of a role in a thread of its own, until the block is left."""

    def __init__(self, database: Database, role: str, details: Callable[[], Mapping[str, str]]) -> None:
        self._database = database
        self._role = role
        self._details = details
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{role}-heartbeat", daemon=True)

    def __enter__(self) -> "Beating":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(BEAT_S)
        try:
            heartbeats.gone(self._database, self._role, role_name())
        except NodeError as error:
            structlog.get_logger().warning("the heartbeat row stays until it is stale", error=str(error))

    def _run(self) -> None:
        log, quiet = structlog.get_logger(), False
        while True:
            try:
                heartbeats.beat(self._database, self._role, role_name(), dict(self._details()))
                quiet = False
            except NodeError as error:
                if not quiet:
                    log.warning("no heartbeat", error=str(error))
                quiet = True
            if self._over.wait(BEAT_S):
                return


class Backoff:
    """Waiting after a failure: 0.2 s, doubling to 5 s, until something works again."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._seconds = FIRST_BACKOFF_S

    def failed(self, what: str, error: NodeError) -> None:
        """Log, and wait unless the role is to stop."""
        structlog.get_logger().error(what, error=str(error), hint=error.hint, seconds=self._seconds)
        self._stop.wait(self._seconds)
        self._seconds = min(self._seconds * 2, LONGEST_BACKOFF_S)

    def worked(self) -> None:
        self._seconds = FIRST_BACKOFF_S


def retry_in_s(attempt: int, delivery: DeliverySection) -> float:
    """Exponential with jitter, capped: base, twice, four times ..., of which 50 to 100 %, so that a peer that comes back is not flooded."""
    longest: float = min(delivery.retry_cap_s, delivery.retry_base_s * 2 ** min(attempt - 1, 30))
    return longest * random.uniform(0.5, 1.0)


def wait_until(condition: Callable[[], bool], timeout_s: float, step_s: float = 0.05) -> bool:
    """Whether ``condition`` came true within the time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step_s)
    return True
