"""Python imports this module at the start of every process of the node under test. It injects faults at armed failpoints.

A file in ``$CHAOS_FAILPOINTS`` with the name of a failpoint (see `tests.chaos.armed_failpoints`) tells which fault, for which
subject, and whether once or always.
"""

import errno
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

MEMORY_LEFT_BYTES = 64 << 20


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _fail_write() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _exhaust_gpu_memory() -> NoReturn:
    import torch

    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _exhaust_memory() -> None:
    """Set a limit on the memory of the process, and allocate more: the MemoryError is a real one."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_LEFT_BYTES, before[1]))
    try:
        bytearray(8 * MEMORY_LEFT_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _crash() -> NoReturn:
    raise RuntimeError("the model fails on this input")


def _hang() -> None:
    """Sleep until the soft time limit raises an exception."""
    time.sleep(3600)


def _hang_ignoring_signals() -> NoReturn:
    """Sleep and ignore every exception: only the hard time limit ends it."""
    while True:
        with suppress(BaseException):
            time.sleep(3600)


FAULTS: dict[str, Callable[[], Any]] = {
    "kill": _kill, "full": _fail_write, "memory": _exhaust_memory, "gpu": _exhaust_gpu_memory, "crash": _crash, "hang": _hang,
    "wedge": _hang_ignoring_signals,
}  # fmt: skip


def _make_watcher(folder: str) -> Callable[[str, str], None]:
    def inject(name: str, subject: str) -> None:
        path = f"{folder}/{name}"
        try:
            with open(path) as file:
                armed = json.load(file)
        except FileNotFoundError:
            return
        if armed["subject"] and armed["subject"] != subject:
            return
        fired = f"{folder}/fired/{name}.{armed['fault']}.{os.getpid()}.{time.monotonic_ns()}"
        if armed["always"]:
            Path(fired).touch()
        else:
            try:
                os.rename(path, fired)
            except FileNotFoundError:
                return  # another process has taken it
        FAULTS[armed["fault"]]()

    return inject


def _install() -> None:
    folder = os.environ.get("CHAOS_FAILPOINTS")
    if not folder:
        return
    try:
        from core import failpoints
    except ImportError:  # a Python program that is not part of the node
        return
    failpoints.set_watcher(_make_watcher(folder))
    if "deploy.cli" in sys.orig_argv and "worker" in sys.orig_argv:
        # Loaded before the fork, so that the restart of a killed child takes one second of processor time and not six. The product loads
        # them after the fork, because CUDA requires it; here everything is computed on the CPU.
        import monai.networks.nets  # noqa: F401

        import workers.attempt.wake_up  # noqa: F401


_install()
