"""Memory of a process that lives long: what is freed goes back to the kernel."""

import subprocess
import sys

CODE = """
import ctypes
from core import process_memory
if {set_it}:
    assert process_memory.give_back_large()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) >> 10

libc.free(libc.malloc(8 << 20))  # glibc keeps blocks up to this size from now on
before = resident()
large = libc.malloc(6 << 20)
ctypes.memset(large, 1, 6 << 20)
libc.free(large)
print(resident() - before)
"""


def kept_mib(*, set_it: bool) -> int:
    done = subprocess.run([sys.executable, "-c", CODE.format(set_it=set_it)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_large_blocks_are_given_back_when_they_are_freed() -> None:
    assert kept_mib(set_it=True) <= 1
    assert kept_mib(set_it=False) > 4  # else this test shows nothing
