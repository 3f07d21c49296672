"""Imported by Python itself in every process of the node that the harness starts: strikes where `tests.chaos.arms` has armed a step.

A file in ``$CHAOS_ARMS`` that is named like the step says what is to happen there, to whom, and whether once or always.
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


def _full() -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _gpu_memory() -> NoReturn:
    import torch

    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _memory() -> None:
    """Take more than the process may: the limit is real, and so is the MemoryError."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_LEFT_BYTES, before[1]))
    try:
        bytearray(8 * MEMORY_LEFT_BYTES)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _crash() -> NoReturn:
    raise RuntimeError("a defect of the model, on this input alone")


def _hang() -> None:
    """Waits for ever; ends in order where the time limit asks it to."""
    time.sleep(3600)


def _wedge() -> NoReturn:
    """Waits for ever, whatever it is asked: only the hard limit helps."""
    while True:
        with suppress(BaseException):
            time.sleep(3600)


DO: dict[str, Callable[[], Any]] = {
    "kill": _kill, "full": _full, "memory": _memory, "gpu": _gpu_memory, "crash": _crash, "hang": _hang, "wedge": _wedge,
}  # fmt: skip


def _watcher(folder: str) -> Callable[[str, str], None]:
    def strike(name: str, subject: str) -> None:
        path = f"{folder}/{name}"
        try:
            with open(path) as file:
                armed = json.load(file)
        except FileNotFoundError:
            return
        if armed["subject"] and armed["subject"] != subject:
            return
        fired = f"{folder}/fired/{name}.{armed['do']}.{os.getpid()}.{time.monotonic_ns()}"
        if armed["always"]:
            Path(fired).touch()
        else:
            try:
                os.rename(path, fired)
            except FileNotFoundError:
                return  # another process was there first
        DO[armed["do"]]()

    return strike


def _install() -> None:
    folder = os.environ.get("CHAOS_ARMS")
    if not folder:
        return
    try:
        from core import failpoints
    except ImportError:  # a Python program that is none of the node's
        return
    failpoints.watch(_watcher(folder))
    if "deploy.cli" in sys.orig_argv and "worker" in sys.orig_argv:
        # Loaded before the fork, so that a killed child costs one second of processor time and not six. The product loads them behind
        # it, for CUDA's sake; here everything is computed on the CPU.
        import monai.networks.nets  # noqa: F401

        import workers.attempt.claim  # noqa: F401


_install()
