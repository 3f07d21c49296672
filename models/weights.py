"""Loads the weights of a card into its network."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from core.errors import ModelError
from models.card import ModelCard


def load_weights(network: torch.nn.Module, weights: Path, card: ModelCard) -> None:
    """Load safetensors, by the names of the tensors. Raises ModelError where they do not fit."""
    try:
        network.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error
