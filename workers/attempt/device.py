"""Which device a child computes on, and how many threads it may use. Set before torch is imported, which reads it then."""

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_DEVICE = re.compile(r"nvidia\d+")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def devices(environ: Mapping[str, str] = os.environ, folder: Path = Path("/dev")) -> list[str]:
    """The GPUs that this process may see, as CUDA_VISIBLE_DEVICES names them; empty without one. Does not import torch."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [part.strip() for part in named.split(",") if part.strip() and part.strip() != "-1"]
    if not folder.is_dir():
        return []
    found = sorted(path.name for path in folder.iterdir() if _DEVICE.fullmatch(path.name))
    return [name.removeprefix("nvidia") for name in found]


def threads_of_child(wanted: int, children: int, cores: int) -> int:
    """Torch threads of one child: what was asked for; 0: all cores shared by the children, at least one each."""
    return wanted if wanted > 0 else max(1, cores // max(1, children))


def cores() -> int:
    """Processors that this process may use (a container sees fewer than the machine has)."""
    return len(os.sched_getaffinity(0))


def claim_share(index: int, threads: int, environ: MutableMapping[str, str] = os.environ) -> str:
    """Give child ``index`` one GPU of its own, if there are any, and its share of threads. The GPU's name, or ""."""
    for variable in _THREAD_VARIABLES:
        environ[variable] = str(threads)
    visible = devices(environ)
    if not visible:
        return ""
    chosen = visible[index % len(visible)]
    environ["CUDA_VISIBLE_DEVICES"] = chosen
    return chosen


def resident_mib() -> int:
    """Memory that this process holds, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // (1 << 20)
