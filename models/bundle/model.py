"""What an imported card's network needs to be served, as the runtime asks for it."""

from pathlib import Path

from core.records import ModelIdentity
from models.bundle import boxes, segments, unets
from models.card import ModelCard


def Model(card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> boxes.Model | segments.Model:
    """Loaded weights of one imported card on one device: a segmentation's regions, or a detector's boxes."""
    kind = segments.Model if card.network.get("kind") in unets.KINDS else boxes.Model
    return kind(card, identity, weights, device)
