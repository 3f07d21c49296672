"""Chooses the class that runs an imported card: classification, segmentation or detection."""

from pathlib import Path

from core.records import ModelIdentity
from models.bundle import segmentation_networks
from models.bundle.classifier.frame_volume_model import FrameVolumeClassifier
from models.bundle.classifier.frames_model import FrameClassifier
from models.bundle.classifier.model import BundleClassifier
from models.bundle.classifier.slide_model import SlideClassifier
from models.bundle.detector import BundleDetector
from models.bundle.segmentation import BundleSegmenter
from models.card import ModelCard
from models.installed import CLASSIFIER_KINDS


def load_bundle_model(
    card: ModelCard, identity: ModelIdentity, weights: Path, device: str
) -> BundleClassifier | BundleDetector | BundleSegmenter:
    """The loaded model of one imported card on one device."""
    if card.network.get("kind") in CLASSIFIER_KINDS:
        return _classifier(card)(card, identity, weights, device)
    kind = BundleSegmenter if card.network.get("kind") in segmentation_networks.KINDS else BundleDetector
    return kind(card, identity, weights, device)


def _classifier(card: ModelCard) -> type[BundleClassifier]:
    """The class for what the card reads: single images and CT series, frames one by one or as a block, or tiles."""
    if not card.modality:
        return BundleClassifier
    if card.modality == "SM":
        return SlideClassifier
    return FrameClassifier if card.network["dims"] == 2 else FrameVolumeClassifier
