"""Gives a child its device and its threads. Both are environment variables that torch reads when it is imported, so they are set before."""

import os
import re
from collections.abc import Mapping, MutableMapping
from itertools import takewhile
from pathlib import Path

_DEVICE = re.compile(r"nvidia\d+")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def devices(environ: Mapping[str, str] = os.environ, folder: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; empty without one. Does not import torch.

    CUDA hides every GPU behind an entry of -1. Without the variable, CUDA numbers the GPUs that it finds from 0: a container with a single
    GPU has, for example, /dev/nvidia3 only, and CUDA calls it 0.
    """
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return list(takewhile(lambda part: part != "-1", filter(None, map(str.strip, named.split(",")))))
    if not folder.is_dir():
        return []
    return [str(number) for number in range(sum(_DEVICE.fullmatch(path.name) is not None for path in folder.iterdir()))]


def threads_of_child(configured: int, children: int, cores: int) -> int:
    """Return the torch threads of one child: the configured number, or for 0 an equal share of the cores, at least one."""
    return configured if configured > 0 else max(1, cores // max(1, children))


def available_cores() -> int:
    """Return how many processors this process may use (a container may have fewer than the machine)."""
    return len(os.sched_getaffinity(0))


def claim_share(index: int, threads: int, environ: MutableMapping[str, str] = os.environ) -> str:
    """Set the environment of child ``index`` (from 0): one GPU, if there are any, and its number of threads.

    Returns
    -------
    The name of the GPU, or "" without one.
    """
    for variable in _THREAD_VARIABLES:
        environ[variable] = str(threads)
    visible = devices(environ)
    if not visible:
        return ""
    chosen = visible[index % len(visible)]
    environ["CUDA_VISIBLE_DEVICES"] = chosen
    return chosen


def resident_mib() -> int:
    """Return the memory that this process holds (resident set size), MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
