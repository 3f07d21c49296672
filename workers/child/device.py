"""Gives a child its device and its threads. Both are environment variables that torch reads when it is imported, so they are set before."""

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_DEVICE = re.compile(r"nvidia\d+")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def devices(environ: Mapping[str, str] = os.environ, folder: Path = Path("/dev")) -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them; empty without one. Does not import torch."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() and part.strip() != "-1"]
    if not folder.is_dir():
        return []
    found = sorted(path.name for path in folder.iterdir() if _DEVICE.fullmatch(path.name))
    return [name.removeprefix("nvidia") for name in found]


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
