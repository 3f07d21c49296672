"""Splits a batch that does not fit into memory into halves, down to single items."""

from collections.abc import Callable
from typing import TypeVar

import torch

from core.errors import OutOfMemory
from models.runtime import is_out_of_memory

Result = TypeVar("Result")


def run_in_halves(run: Callable[[slice], Result], count: int) -> list[Result]:
    """Call ``run(slice(0, count))``, and on out-of-memory errors the halves instead; return the results in the items' order.

    Raises
    ------
    OutOfMemory
        A single item does not fit. Transient: another process may hold the memory now.
    """
    pending, results = [slice(0, count)], []
    while pending:
        part = pending.pop()
        try:
            results.append(run(part))
            continue
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        # The halves run outside of the handler, because its traceback keeps the tensors of the failed pass.
        torch.cuda.empty_cache()
        size = part.stop - part.start
        if size <= 1:
            hint = "see worker.gpu_memory_share, and which other processes use the memory"
            raise OutOfMemory("one item alone does not fit into memory", hint=hint)
        middle = part.start + size // 2
        pending += [slice(middle, part.stop), slice(part.start, middle)]
    return results
