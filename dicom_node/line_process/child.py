"""The child's side: a loop over requests. Imports nothing that parses, so that the limits of the process come first."""

import json
import resource
import select
import sys
from collections.abc import Iterator
from typing import Any


def requests(*, cpu_s: int, idle_s: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield the requests until standard input ends, or none has come for ``idle_s`` seconds.

    ``cpu_s``: processor time of each. A child that takes more is killed (SIGXCPU).
    """
    while select.select([sys.stdin], [], [], idle_s)[0]:  # one request at a time: none is in the buffer of standard input
        line = sys.stdin.readline()
        if not line:
            return
        _limit_processor_time(cpu_s)
        yield json.loads(line)


def answer(values: dict[str, Any]) -> None:
    """Answer the request."""
    print(json.dumps(values), flush=True)


def _limit_processor_time(cpu_s: int) -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + cpu_s, hard))
