"""A batch that does not fit into GPU memory is run in halves with the same results."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.errors import OutOfMemory
from models.batch_halves import run_in_halves


def _card(most: int, passes: list[int]) -> "object":
    """A card that takes ``most`` items at once, as torch says it does not."""

    def ask(part: slice) -> list[int]:
        size = part.stop - part.start
        passes.append(size)
        if size > most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return list(range(part.start, part.stop))

    return ask


@given(count=st.integers(1, 100), most=st.integers(1, 100))
def test_every_item_is_run_once_and_results_are_in_order(count: int, most: int) -> None:
    passes: list[int] = []
    answers = run_in_halves(_card(most, passes), count)  # type: ignore[arg-type]
    assert [one for part in answers for one in part] == list(range(count))
    if count <= most:
        assert passes == [count]


def test_a_single_item_that_does_not_fit_is_a_transient_error() -> None:
    with pytest.raises(OutOfMemory, match=r"worker\.gpu_memory_share") as caught:
        run_in_halves(_card(0, []), 5)  # type: ignore[arg-type]
    assert not caught.value.permanent


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
)
def test_memory_that_others_than_torch_could_not_allocate_counts_too(error: RuntimeError) -> None:
    def ask(part: slice) -> int:
        if part.stop - part.start > 1:
            raise error
        return part.start

    assert run_in_halves(ask, 3) == [0, 1, 2]


def test_other_errors_are_not_retried_in_halves() -> None:
    def ask(_: slice) -> int:
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side"):
        run_in_halves(ask, 5)
