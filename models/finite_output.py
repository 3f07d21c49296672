"""Refuses an output of a network that is no number: below every threshold, it would be reported as "no finding"."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from core.errors import NonFiniteOutput
from models.finite_prediction import HINT


def require_finite_output(network: torch.nn.Module, whose: str) -> None:
    """Let every pass of ``network`` raise NonFiniteOutput where its output holds NaN or infinity. ``whose``: begins the message."""

    def check(_module: torch.nn.Module, _given: Any, output: Any) -> None:
        require_finite(whose, *_tensors(output))

    network.register_forward_hook(check)


def require_finite(whose: str, *tensors: torch.Tensor) -> None:
    """Raise NonFiniteOutput where one of ``tensors`` holds NaN or infinity."""
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise NonFiniteOutput(f"{whose} output holds values that are no numbers", hint=HINT)


def _tensors(output: Any) -> Iterator[torch.Tensor]:
    """The tensors in tables and lists of any depth."""
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _tensors(value)
