"""Runs one of several periodic actions of a thread, each with its own interval and back-off."""

import time
from collections.abc import Callable

import structlog
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from core.errors import StorageError
from db.roles.back_off import BackOff

log = structlog.get_logger()


class PeriodicAction:
    """An action with an interval; where its database or broker does not respond, it is tried again after growing pauses.

    Attributes
    ----------
    failing
        Whether the last call failed.
    """

    def __init__(self, name: str, action: Callable[[], object], interval_s: float) -> None:
        self._name, self._action, self._interval_s = name, action, interval_s
        self._due, self._back_off = 0.0, BackOff()
        self.failing = False

    def run_if_due(self) -> None:
        """Call the action if its interval, or its pause after a failure, has passed."""
        if time.monotonic() >= self._due:
            self.run()

    def run(self) -> None:
        """Call the action now. Only the first failure and the recovery are logged; errors of other kinds are raised."""
        try:
            self._action()
        except (StorageError, KombuError, RedisError, OSError) as error:  # RedisError: kombu does not translate all of them
            if not self.failing:
                log.warning("relay_action_failed", action=self._name, error=f"{type(error).__name__}: {error}", hint="it is tried again")
            self.failing = True
            self._due = time.monotonic() + self._back_off.next_pause_s()
            return
        if self.failing:
            log.info("relay_action_recovered", action=self._name)
        self.failing = False
        self._back_off.reset()
        self._due = time.monotonic() + self._interval_s
