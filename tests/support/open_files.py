"""Limits how many more files this process may open."""

import itertools
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def limited_files() -> Iterator[Callable[[int], None]]:
    """Yield a function that lets this process open so many more files at once, and no further one (EMFILE), until the block ends."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield lambda more: resource.setrlimit(resource.RLIMIT_NOFILE, (_free_descriptor(more), allowed[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)


def _free_descriptor(number: int) -> int:
    """Return the number of a descriptor that is not in use: the lowest one, or the one that so many of them precede."""
    return next(itertools.islice((descriptor for descriptor in itertools.count() if not _is_open(descriptor)), number, None))


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
