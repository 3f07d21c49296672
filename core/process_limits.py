"""Limits of a process that reads untrusted input (setrlimit(2)). Set before anything is imported that parses it."""

import resource


def limit_process(memory_bytes: int, *, cpu_s: int | None = None, file_bytes: int | None = None) -> None:
    """Limit the address space of this process, and its processor time and the size of a file that it writes where given; no core dump."""
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_CORE: 0}
    for kind, limit in limits.items():
        if limit is not None:
            resource.setrlimit(kind, (limit, limit))
