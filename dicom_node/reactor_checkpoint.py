"""Closes a race between the two threads of an association that the node requests.

pynetdicom's reactor thread sets ``_is_paused``, waits for ``_reactor_checkpoint``, and clears ``_is_paused``. A thread that wants to send
clears the checkpoint and waits until ``_is_paused`` is set. Between the reactor's last two steps it sees a reactor that seems to be paused,
sends its request, and the reactor takes the answer: the request then times out. On a loaded machine that is one request in some hundred.
"""

import threading
from typing import Any


class ReactorCheckpoint:
    """Takes the place of an association's ``_reactor_checkpoint`` event: `wait` returns and clears ``_is_paused`` in one step."""

    def __init__(self, association: Any) -> None:
        self._association = association
        self._condition = threading.Condition()
        self._open = True

    def is_set(self) -> bool:
        """Whether the reactor may pass."""
        return self._open

    def set(self) -> None:
        """Let the reactor pass."""
        with self._condition:
            self._open = True
            self._condition.notify_all()

    def clear(self) -> None:
        """Stop the reactor at its next `wait`; if ``_is_paused`` is set after this call, it is stopped already."""
        with self._condition:
            self._open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the reactor may pass, and mark it as running."""
        with self._condition:
            passed = self._condition.wait_for(lambda: self._open, timeout)
            if passed:
                self._association._is_paused = False
            return passed
