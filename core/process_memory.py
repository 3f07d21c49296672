"""What a process that runs for months keeps of its memory, and what its collector walks over."""

import ctypes
import gc

LARGE_BYTES = 128 << 10
_M_MMAP_THRESHOLD = -3  # mallopt(3)


def settle() -> None:
    """What there is now stays until the process ends, and no collection walks over it.

    A full collection over what a role imports takes 0.1 to 0.4 s, and holds every thread meanwhile; pynetdicom's server asks for one
    every half minute. To be called once, when a process has loaded what it runs.
    """
    gc.collect()
    gc.freeze()


def give_back_large() -> bool:
    """Blocks of 128 KiB and more are the kernel's again as soon as they are freed; False where the C library has no such setting.

    glibc does so until the first of them is freed, and keeps the next ones among the small: with a buffer for each association, and a
    thread and an arena, the listener grew by 20 MiB over 100,000 instances that way. Not for a process that computes: there such blocks are
    taken and freed all the time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES) == 1
