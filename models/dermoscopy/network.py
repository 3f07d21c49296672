"""The network: a slim two-dimensional MONAI ResNet with a decoder for the lesion's outline and an input for facts of the patient."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from models.classifier.out_of_distribution import FeatureDistance
from models.classifier.slim_resnet import head_logits, pooled_features, slim_resnet, stage_maps

MEAN = (0.763, 0.546, 0.570)  # of the training images, per channel, values 0..1
STD = (0.141, 0.153, 0.170)


class OutlineDecoder(torch.nn.Module):
    """A feature pyramid: four maps, fine to coarse, to (B, 1, Y, X) logits of the lesion on the finest map's grid."""

    def __init__(self, widths: list[int], channels: int) -> None:
        super().__init__()
        self.lateral = torch.nn.ModuleList(torch.nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = torch.nn.Sequential(
            torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False), torch.nn.BatchNorm2d(channels), torch.nn.ReLU()
        )
        self.last = torch.nn.Conv2d(channels, 1, 1)

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """As the class says."""
        carried = self.lateral[-1](maps[-1])
        for lateral, finer in zip(self.lateral[-2::-1], maps[-2::-1], strict=True):
            carried = lateral(finer) + F.interpolate(carried, size=finer.shape[-2:], mode="bilinear", align_corners=False)
        logits: torch.Tensor = self.last(self.smooth(carried))
        return logits


class PatientFusion(torch.nn.Module):
    """Logits that the patient's age, sex and site add: (B, width) features and (B, facts) to (B, classes).

    ``facts`` None: nothing is known of the patient.
    """

    def __init__(self, width: int, facts: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.both = torch.nn.Linear(width + facts, 64)
        self.drop = torch.nn.Dropout(dropout)
        self.last = torch.nn.Linear(64, classes)
        torch.nn.init.zeros_(self.last.weight)  # adds nothing before training
        torch.nn.init.zeros_(self.last.bias)

    def forward(self, features: torch.Tensor, facts: torch.Tensor | None) -> torch.Tensor:
        """As the class says."""
        if facts is None:
            facts = features.new_zeros(len(features), self.both.in_features - features.shape[1])
        logits: torch.Tensor = self.last(self.drop(F.relu(self.both(torch.cat([features, facts], 1)))))
        return logits


class LesionNet(torch.nn.Module):
    """(B, 3, Y, X) uint8 or float 0..255 to (B, classes) logits without a prior of the classes.

    Pixel values are normalised inside the network, so that no caller can forget it. ``facts`` of 0, ``outline`` of 0 and ``familiar`` of
    False leave out the patient's facts, the outline decoder and the distance from the training images. The names of the attributes are
    part of the names of the shipped weights.
    """

    def __init__(
        self,
        widths: list[int],
        layers: list[int],
        classes: int,
        dropout: float = 0.0,
        *,
        facts: int = 0,
        outline: int = 0,
        familiar: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = slim_resnet(3, classes, widths, layers, dropout)
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255)
        self.fusion = PatientFusion(widths[-1], facts, classes, dropout) if facts else None
        self.outline = OutlineDecoder(widths, outline) if outline else None
        self.familiarity = FeatureDistance(widths) if familiar else None
        self.served_maps: Callable[[torch.Tensor], list[torch.Tensor]] | None = None  # in place of the trunk: see onnx_maps

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The feature maps of the four stages, fine to coarse: from 1/4 to 1/32 of the image's side."""
        values = (image.to(self.mean.dtype) - self.mean) / self.std
        return stage_maps(self.trunk, values) if self.served_maps is None else self.served_maps(values)

    def classify(self, coarsest: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """The last map (B, width, Y, X) to logits (B, classes). ``facts`` None: nothing is known of the patient."""
        features = pooled_features(self.trunk, coarsest)
        logits = head_logits(self.trunk, features)
        return logits if self.fusion is None else logits + self.fusion(features, facts)

    def decode_outline(self, maps: list[torch.Tensor], side: int) -> torch.Tensor:
        """(B, side, side) float32 logits that a pixel belongs to the lesion. Raises RuntimeError where there is no decoder."""
        if self.outline is None:
            raise RuntimeError("this network has no outline decoder")
        return enlarge_outline(self.outline(maps).float(), side)

    def distance(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """(B,) distance from the training images. Raises RuntimeError where the network does not measure it."""
        if self.familiarity is None:
            raise RuntimeError("this network does not measure the distance from its training images")
        found: torch.Tensor = self.familiarity(maps)
        return found

    def forward(self, image: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """As the class says."""
        return self.classify(self.maps(image)[-1], facts)


def enlarge_outline(coarse: torch.Tensor, side: int) -> torch.Tensor:
    """(B, 1, Y, X) logits of the outline decoder to (B, side, side)."""
    return F.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)[:, 0]


def build(network: Mapping[str, Any], classes: int) -> LesionNet:
    """The network of a card's table: ``widths``, ``layers``, ``dropout``, ``facts``, ``outline``, ``familiar``."""
    net = LesionNet(
        list(network["widths"]),
        list(network["layers"]),
        classes,
        float(network.get("dropout", 0.0)),
        facts=int(network.get("facts", 0)),
        outline=int(network.get("outline", 0)),
        familiar=bool(network.get("familiar", False)),
    )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def dihedral(images: torch.Tensor) -> list[torch.Tensor]:
    """The eight mirrored and turned copies of (B, C, Y, X); the first is the image itself."""
    both = [images, images.flip(3), images.flip(2), images.flip(2, 3)]
    return both + [copy.transpose(2, 3) for copy in both]
