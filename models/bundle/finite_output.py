"""Refuses an output of an imported network that is no number: below every threshold, it would be reported as "no finding"."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from core.errors import ModelError
from models.card import ModelCard


def require_finite_output(network: torch.nn.Module, card: ModelCard) -> None:
    """Let every pass of ``network`` raise ModelError where its output holds NaN or infinity.

    Weights that were damaged before their import cause it, and half precision on CUDA where values are above 65,504.
    """

    def check(_module: torch.nn.Module, _given: Any, output: Any) -> None:
        if not all(bool(torch.isfinite(tensor).all()) for tensor in _tensors(output)):
            hint = "run it with worker.device = cpu, which computes in single precision; if that fails too, its weights are damaged"
            raise ModelError(f"{card.name} {card.version}: the network's output holds values that are no numbers", hint=hint)

    network.register_forward_hook(check)


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
