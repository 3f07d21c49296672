"""What an imported card's network needs to be served, as the runtime asks for it."""

from pathlib import Path

from core.records import ModelIdentity
from models.bundle import detector, segmentation, segmentation_networks
from models.card import ModelCard


def Model(card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> detector.Model | segmentation.Model:
    """Loaded weights of one imported card on one device: a segmentation's regions, or a detector's boxes."""
    kind = segmentation.Model if card.network.get("kind") in segmentation_networks.KINDS else detector.Model
    return kind(card, identity, weights, device)
