"""Fixes the number of CPU threads that torch uses, so that results are bit for bit the same, and restores it afterwards."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Within the block torch computes on ``count`` threads, so that sums are always added in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_on_cores(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """``work`` of every item, in order, as many at once as there are cores; each item on ``threads`` of torch's threads.

    Every item is computed by the same kernels in the same order whatever runs beside it, so that no bit depends on other items.
    ``inference_mode`` and ``no_grad`` belong to a thread and have to be entered inside ``work``.
    """
    workers = min(len(items), max(1, len(os.sched_getaffinity(0)) // threads))
    with cpu_threads(threads):
        if workers < 2:
            return [work(item) for item in items]
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
            return list(pool.map(work, items))
