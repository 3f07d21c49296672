"""Chooses the class that runs an imported card: classification, segmentation or detection."""

from pathlib import Path

from core.records import ModelIdentity
from models.bundle import segmentation_networks
from models.bundle.classifier.model import BundleClassifier
from models.bundle.detector import BundleDetector
from models.bundle.segmentation import BundleSegmenter
from models.card import ModelCard
from models.installed import CLASSIFIER_KINDS


def load_bundle_model(
    card: ModelCard, identity: ModelIdentity, weights: Path, device: str
) -> BundleClassifier | BundleDetector | BundleSegmenter:
    """The loaded model of one imported card on one device."""
    if card.network.get("kind") in CLASSIFIER_KINDS:
        return BundleClassifier(card, identity, weights, device)
    kind = BundleSegmenter if card.network.get("kind") in segmentation_networks.KINDS else BundleDetector
    return kind(card, identity, weights, device)
