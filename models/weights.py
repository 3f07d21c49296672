"""Loads the weights of a card into its network."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.errors import ModelError
from models.card import ModelCard


def load_weights(network: torch.nn.Module, weights: Path, card: ModelCard) -> None:
    """Load safetensors, by the names of the tensors. Raises ModelError where they cannot be read or do not fit."""
    tensors = read_tensors(weights)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error


def read_tensors(weights: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file by name. Raises ModelError where it is none, although its hash may be the one of its card."""
    try:
        return dict(load_file(weights))
    except SafetensorError as error:
        raise ModelError(
            f"{weights} is not a safetensors file: {str(error)[:200]}", hint="make the version again, and import it"
        ) from error
