"""Batches that do not fit on the card are split: in halves, down to one; only what does not fit alone is an error."""

from collections.abc import Callable
from typing import TypeVar

import torch

from core.errors import OutOfMemory

Answer = TypeVar("Answer")


def in_halves(ask: Callable[[slice], Answer], count: int) -> list[Answer]:
    """The answers for ``count`` items, in their order: of ``ask(slice(0, count))``, or of each of the parts that it had to be split into.

    Raises
    ------
    OutOfMemory
        A single item does not fit. Another process may have the memory now: transient.
    """
    waiting, answers = [slice(0, count)], []
    while waiting:
        part = waiting.pop()
        try:
            answers.append(ask(part))
            continue
        except torch.cuda.OutOfMemoryError:
            pass  # outside of the handler: its traceback holds the tensors of the failed pass
        torch.cuda.empty_cache()
        size = part.stop - part.start
        if size <= 1:
            hint = "see worker.gpu_memory_share, and who else uses the card"
            raise OutOfMemory("one item alone does not fit into the card's memory", hint=hint)
        middle = part.start + size // 2
        waiting += [slice(middle, part.stop), slice(part.start, middle)]
    return answers
