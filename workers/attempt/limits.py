"""Limits of one attempt that nothing else enforces: the memory that it may hold, and the size of what it makes.

Memory is watched, not limited by the kernel: an address-space limit (RLIMIT_AS) counts what torch and CUDA reserve and never touch,
many times what they hold (docs/decisions/0026-memory-is-watched.md). The watcher runs beside the work and ends the process, because a
native computation cannot be interrupted and its memory does not come back: the next child starts with none. What comes and goes between
two looks stands in the kernel's count of the most that was held, which is begun anew with each attempt.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.attempt import device

EVERY_S = 0.1
SHARE = 0.9  # of what there is: the rest is for the parent, the page cache and the kernel
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # version 2, version 1
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


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


def peak_mib() -> int:
    """The most that this process has held since `restart_peak`, or ever; what it holds, where the kernel does not count. MiB."""
    for line in _STATUS.read_bytes().splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) >> 10
    return device.resident_mib()


def restart_peak() -> int:
    """From here on the most is counted anew, where the kernel allows it. The most until now, MiB."""
    most_mib = peak_mib()
    with suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)
    return most_mib


class MemoryWatch:
    """``with MemoryWatch(limit, over) as watch:`` calls ``over(held)`` once, when the process holds, or has held, more than ``limit`` MiB.

    Looked at before the work begins, every `EVERY_S` beside it, by ``look`` before anything is committed, and at the end: there only what
    is still held counts, for it would be there when the next attempt begins. ``before_mib`` is the most that was held until the beginning.
    """

    def __init__(self, limit_mib: int, over: Callable[[int], None]) -> None:
        self._limit_mib = limit_mib
        self._over = over
        self._told = False
        self._telling = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._floor_mib = self.before_mib = 0

    def __enter__(self) -> Self:
        self.before_mib = restart_peak()
        self._floor_mib = peak_mib()
        self._weigh(device.resident_mib())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._weigh(device.resident_mib())

    def look(self) -> None:
        """Now. Where ``over`` is called, by whom ever, this gives back when it has ended."""
        most_mib = peak_mib()  # where it could not be begun anew, and has not grown, it is none of this attempt's
        self._weigh(most_mib if most_mib > self._floor_mib else device.resident_mib())

    def _weigh(self, held_mib: int) -> None:
        with self._telling:
            if held_mib > self._limit_mib and not self._told:
                self._told = True
                self._over(held_mib)

    def _watch(self) -> None:
        while not self._told and not self._stop.wait(EVERY_S):
            self.look()
