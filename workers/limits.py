"""Limits of one attempt that nothing else enforces: the memory that it may hold, and the size of what it makes.

Memory is watched, not limited by the kernel: an address-space limit (RLIMIT_AS) counts what torch and CUDA reserve and never touch,
many times what they hold (docs/decisions/0026-memory-is-watched.md). The watcher runs beside the work and ends the process, because a
native computation cannot be interrupted and its memory does not come back: the next child starts with none.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from workers import gpu

EVERY_S = 0.1
SHARE = 0.9  # of what there is: the rest is for the parent, the page cache and the kernel
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # version 2, version 1


def machine_mib(cgroups: tuple[Path, ...] = _CGROUPS) -> int:
    """Memory that there is for this process and its neighbours: the container's, where it is less than the machine's. MiB."""
    least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in cgroups:
        try:
            least = min(least, int(path.read_text()))
        except (OSError, ValueError):  # no such version, or "max"
            continue
    return least >> 20


def memory_of_child(wanted_mib: int, children: int, there_mib: int) -> int:
    """What one child may hold, MiB: what was asked for; 0: nine tenths of what there is, shared by the children."""
    return wanted_mib if wanted_mib > 0 else max(1, int(there_mib * SHARE) // max(1, children))


class MemoryWatch:
    """``with MemoryWatch(limit, over):`` calls ``over(held)`` once, in its own thread, when the process holds more than ``limit`` MiB."""

    def __init__(self, limit_mib: int, over: Callable[[int], None]) -> None:
        self._limit_mib = limit_mib
        self._over = over
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            held = gpu.resident_mib()
            if held > self._limit_mib:
                self._over(held)
                return
