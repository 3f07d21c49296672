"""Runs one role in this process until a signal, and ends the process in time also where the role waits for a server that is gone.

The role runs in a thread: libpq waits without returning to Python, and in the main thread no signal would be handled meanwhile. Connecting
is limited to 10 s by libpq, but the search for the name of a host and the answer to a statement are not.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from core import process_memory

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from deploy.reload import RoleReload

DRAIN_S = 28.0  # of the 30 s within which a role ends; an object that is being sent may be finished
SHORT_DRAIN_S = 8.0  # of a role whose work is transactions only: what was not committed is done again after the next start


def run_until_signal(
    role: Callable[[threading.Event], None], on_hangup: Callable[[], None] = lambda: None, *, drain_s: float = DRAIN_S
) -> None:
    """Run ``role`` until SIGTERM or SIGINT sets its event, then wait until it returns. A second signal ends the process at once.

    Parameters
    ----------
    on_hangup
        Called on SIGHUP.
    drain_s
        Seconds that the role may take after the signal. Then the process ends with status 0: every step may be interrupted anywhere.
    """
    stop = threading.Event()
    _handle_signals(stop.set, on_hangup, drain_s)
    _run(lambda: role(stop))


def run_with_changes(reloading: "RoleReload", role: Callable[["Settings", threading.Event], None], *, drain_s: float = DRAIN_S) -> None:
    """Run ``role`` as `run_until_signal` does. After SIGHUP it finishes what it does, and runs again with the changed settings."""
    current = threading.Event()  # a new one for each run: a thread of an earlier run that has not ended yet must not go on

    def stop() -> None:
        current.set()

    def reload() -> None:
        reloading.request()
        stop()

    ending = _handle_signals(stop, reload, drain_s)

    def run_again() -> None:
        nonlocal current
        while not ending:
            role(reloading.settings, current)
            current = threading.Event()  # before `ending` is read, so that no signal is lost
            reloading.take()

    _run(run_again)


def _handle_signals(stop: Callable[[], None], on_hangup: Callable[[], None], drain_s: float) -> list[int]:
    """Let SIGTERM and SIGINT call ``stop``, and SIGHUP call ``on_hangup``. Returns the list that gets the first of these two signals."""
    ending: list[int] = []

    def request_stop(number: int, _: object) -> None:
        if ending:
            os._exit(128 + number)
        ending.append(number)
        stop()
        limit = threading.Timer(drain_s, _end, (drain_s,))
        limit.daemon = True  # it stays until the process ends, because Python waits for threads of pools after the role has returned
        limit.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, request_stop)
    signal.signal(signal.SIGHUP, lambda _number, _frame: on_hangup())
    process_memory.freeze_garbage_collector()
    return ending


def _run(role: Callable[[], None]) -> None:
    """Run the role in a thread until it returns; raise what it raises. Signals are handled meanwhile."""
    result: Future[None] = Future()

    def run() -> None:
        try:
            role()
        except BaseException as error:
            result.set_exception(error)
        else:
            result.set_result(None)

    threading.Thread(target=run, name="role", daemon=True).start()
    result.result()


def _end(drain_s: float) -> None:
    """End the process although the role has not returned."""
    import structlog  # not at the start of a command that is no role

    hint = "is the database out of reach? What was not committed is done again after the next start"
    structlog.get_logger().warning("role_interrupted", seconds=drain_s, hint=hint)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
