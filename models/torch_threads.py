"""How many CPU threads torch may use: fixed where bits must not change, restored afterwards."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Given = TypeVar("Given")
Found = TypeVar("Found")


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Within the block torch computes on ``count`` threads: sums are then added in the same order every time."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def each(work: Callable[[Given], Found], given: Sequence[Given], threads: int) -> list[Found]:
    """``work`` of everything ``given``, in order, on all cores; each on ``threads`` of torch's threads.

    Whatever else runs beside it, a piece of work is computed by the same kernels in the same order: no bit depends on its neighbours.
    ``inference_mode`` and ``no_grad`` are a thread's own and have to be asked for inside ``work``.
    """
    workers = min(len(given), max(1, len(os.sched_getaffinity(0)) // threads))
    with cpu_threads(threads):
        if workers < 2:
            return [work(one) for one in given]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            return list(pool.map(work, given))
