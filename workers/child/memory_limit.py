"""Watches the memory that a child holds during an attempt, and ends the attempt when it is over the limit.

Memory is watched, not limited by the kernel: an address-space limit (RLIMIT_AS) counts what torch and CUDA reserve and never touch,
many times what they hold (docs/decisions/0026-memory-is-watched.md). The watcher is a thread beside the work and ends the process,
because a native computation cannot be interrupted and its memory is not returned to the system. Memory that was allocated and freed
between two measurements is found in the kernel's peak counter (VmHWM), which is reset at the beginning of each attempt.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.child import device

INTERVAL_S = 0.1
USABLE_SHARE = 0.9  # of the memory of machine or container: the rest is for the parent, the page cache and the kernel
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))  # version 2, version 1
_STATUS, _CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


def available_mib(cgroups: tuple[Path, ...] = _CGROUPS) -> int:
    """Return the memory of the machine, or of the container where it has less, MiB."""
    least = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for path in cgroups:
        try:
            least = min(least, int(path.read_text()))
        except (OSError, ValueError):  # the file is of the other version, or says "max"
            continue
    return least >> 20


def memory_of_child(configured_mib: int, children: int, there_mib: int) -> int:
    """Return the memory that one child may hold, MiB: the configured limit, or for 0 an equal share of nine tenths of all memory."""
    return configured_mib if configured_mib > 0 else max(1, int(there_mib * USABLE_SHARE) // max(1, children))


def peak_mib() -> int:
    """Return the most memory that this process has held since `reset_peak`, MiB; what it holds now where the kernel does not count it."""
    for line in _STATUS.read_bytes().splitlines():
        if line.startswith(b"VmHWM:"):
            return int(line.split()[1]) >> 10
    return device.resident_mib()


def reset_peak() -> int:
    """Reset the kernel's peak counter, where the kernel allows it, and return the peak until now, MiB."""
    most_mib = peak_mib()
    with suppress(OSError):
        _CLEAR_REFS.write_text(_RESET_PEAK)
    return most_mib


class MemoryWatch:
    """``with MemoryWatch(limit_mib, exceeded) as watch:`` calls ``exceeded(held_mib)`` once when the process holds more than the limit.

    Memory is measured before the work begins, every `INTERVAL_S` beside it, by `check` before anything is committed, and at the end. At
    the end only memory that is still held counts, because it would be held when the next attempt begins.

    Attributes
    ----------
    peak_before_mib
        The most memory that was held before the work began.
    """

    def __init__(self, limit_mib: int, exceeded: Callable[[int], None]) -> None:
        self._limit_mib = limit_mib
        self._exceeded = exceeded
        self._called = False
        self._calling = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self._floor_mib = self.peak_before_mib = 0

    def __enter__(self) -> Self:
        self.peak_before_mib = reset_peak()
        self._floor_mib = peak_mib()
        self._compare(device.resident_mib())
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        self._compare(device.resident_mib())

    def most_mib(self) -> int:
        """Return the most memory that the process has held since the work began, MiB; what it holds now where no more is known."""
        most_mib = peak_mib()  # not above the floor: the counter could not be reset, and the peak is not of this attempt
        return most_mib if most_mib > self._floor_mib else device.resident_mib()

    def check(self) -> None:
        """Measure now. Returns after ``exceeded`` has returned, also where another thread has called it."""
        self._compare(self.most_mib())

    def _compare(self, held_mib: int) -> None:
        with self._calling:
            if held_mib > self._limit_mib and not self._called:
                self._called = True
                self._exceeded(held_mib)

    def _watch(self) -> None:
        while not self._called and not self._stop.wait(INTERVAL_S):
            self.check()
