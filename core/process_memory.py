"""Memory settings for processes that run for months: garbage collection and return of freed memory to the kernel."""

import ctypes
import gc

LARGE_BYTES = 128 << 10
DEFAULT_THRESHOLDS = (700, 10, 10)  # of Python's garbage collector
_M_MMAP_THRESHOLD = -3  # mallopt(3)


def freeze_garbage_collector() -> None:
    """Exclude all current objects from garbage collection. To be called once, when a process has imported what it needs.

    A full collection over what a role imports takes 0.1 to 0.4 s and blocks every thread meanwhile; pynetdicom's server requests one every
    half minute. Python's default thresholds apply from here on; the command line sets others while it imports.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*DEFAULT_THRESHOLDS)


def return_large_blocks() -> bool:
    """Return blocks of 128 KiB and more to the kernel as soon as they are freed. False where the C library has no such setting.

    By default glibc stops doing so when the first of them is freed, and places later ones among the small blocks: with a buffer, a thread
    and an arena for each association the listener grew by 20 MiB over 100,000 instances. Not for processes that compute: they allocate and
    free such blocks all the time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1


def release_garbage() -> None:
    """Collect garbage, and return the free pages of the heap to the kernel. For processes that wait long after work that took much memory.

    An exception refers to the frames that it went through, which keep what was read until a collection finds the circle.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
