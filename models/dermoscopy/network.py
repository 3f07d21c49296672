"""The network: a slim MONAI ResNet in two dimensions."""

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.nets.resnet import ResNet

MEAN = (0.763, 0.546, 0.570)  # of the training images, per channel, values 0..1
STD = (0.141, 0.153, 0.170)


class LesionNet(torch.nn.Module):
    """(B, 3, Y, X) uint8 or float 0..255 to (B, classes) logits, all classes weighted alike.

    The values are normalised inside, so that no caller can forget it.
    """

    def __init__(self, widths: list[int], layers: list[int], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.trunk = ResNet(
            block="basic",
            layers=layers,
            block_inplanes=widths,
            spatial_dims=2,
            n_input_channels=3,
            conv1_t_size=3,
            conv1_t_stride=2,
            num_classes=classes,
            bias_downsample=False,
        )
        head = self.trunk.fc
        self.trunk.fc = torch.nn.Sequential(torch.nn.Dropout(dropout), head)  # type: ignore[assignment, arg-type]
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        normal = (image.to(self.mean.dtype) - self.mean) / self.std
        logits: torch.Tensor = self.trunk(normal.contiguous(memory_format=torch.channels_last))
        return logits


def build(network: Mapping[str, Any], classes: int) -> LesionNet:
    """From the card's ``[network]`` table: ``widths``, ``layers``, ``dropout``."""
    net = LesionNet(list(network["widths"]), list(network["layers"]), classes, float(network.get("dropout", 0.0)))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def dihedral(images: torch.Tensor) -> list[torch.Tensor]:
    """The eight mirrored and turned copies of (B, 3, Y, X), the image itself first."""
    both = [images, images.flip(3), images.flip(2), images.flip(2, 3)]
    return both + [copy.transpose(2, 3) for copy in both]
