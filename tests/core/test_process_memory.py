"""Freed blocks of a long-running process are returned to the kernel."""

import subprocess
import sys

CODE = """
import ctypes
from core import process_memory
if {enabled}:
    assert process_memory.return_large_blocks()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10

libc.free(libc.malloc(8 << 20))  # from now on glibc keeps freed blocks up to this size
before = resident()
large = libc.malloc(6 << 20)
ctypes.memset(large, 1, 6 << 20)
libc.free(large)
print(resident() - before)
"""


def mib_kept_after_free(*, enabled: bool) -> int:
    done = subprocess.run([sys.executable, "-c", CODE.format(enabled=enabled)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_blocks_are_returned_when_they_are_freed() -> None:
    assert mib_kept_after_free(enabled=True) <= 1
    assert mib_kept_after_free(enabled=False) > 4  # without the setting, which proves that the test can fail
