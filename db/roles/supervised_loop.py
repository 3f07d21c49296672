"""The loop of a role, and of the threads within a role: repeats one step until it is told to stop, whatever the step raises."""

import threading
from collections.abc import Callable

import structlog

from core.errors import NodeError
from db.roles.back_off import BackOff


class SupervisedLoop:
    """Calls ``step`` until ``stop`` is set, in the calling thread (`run`) or in a daemon thread of its own (`start`).

    A step that raises is called again after a growing pause (`BackOff`): a database that is unavailable for an hour, or one instance that
    no code foresaw, must not end a role. The first failure, every failure with another message, and the recovery are logged.

    Parameters
    ----------
    name
        Names the loop in the log, and its thread.
    step
        Does one unit of work. Returns the seconds that may pass until it is called again; 0 where more work waits.
    stop
        Ends the loop. A step that takes long checks it too.
    wait
        Waits for so many seconds, or less when there is a reason to call ``step`` earlier. Default: ``stop.wait``.
    delay_s
        Seconds before the first call.
    """

    def __init__(
        self,
        name: str,
        step: Callable[[], float],
        stop: threading.Event,
        *,
        wait: Callable[[float], object] | None = None,
        delay_s: float = 0.0,
    ) -> None:
        self._name = name
        self._step = step
        self._stop = stop
        self._wait = stop.wait if wait is None else wait
        self._delay_s = delay_s
        self._back_off = BackOff()
        self._logged_error = ""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run in a thread of its own, which does not keep the process alive."""
        self._thread = threading.Thread(target=self.run, name=self._name, daemon=True)
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, at most so many seconds. Does nothing where `start` was not called."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def run(self) -> None:
        """Repeat the step until ``stop`` is set."""
        self._stop.wait(self._delay_s)
        while not self._stop.is_set():
            try:
                pause_s = self._step()
            except Exception as error:
                self._stop.wait(self._failure_pause_s(error))
                continue
            if self._logged_error:
                structlog.get_logger().info("loop_recovered", action=self._name)
                self._logged_error = ""
            self._back_off.reset()
            if pause_s > 0:
                self._wait(pause_s)

    def _failure_pause_s(self, error: Exception) -> float:
        pause_s = self._back_off.next_pause_s()
        log = structlog.get_logger().bind(action=self._name, seconds=pause_s)
        if isinstance(error, NodeError):
            message = str(error)
            event, details = "loop_failed", {"error": message}
        else:
            message = type(error).__name__  # its text may hold patient data
            event, details = "loop_failed_unexpectedly", {"exception": message}
        if message != self._logged_error:
            log.error(event, **details, exc_info=not isinstance(error, NodeError))
        self._logged_error = message
        return pause_s
