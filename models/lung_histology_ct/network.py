"""Two slim MONAI ResNets: one says from the masses alone whether there is a carcinoma, the other which."""

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.nets.resnet import ResNet

from models.out_of_distribution import Familiarity

MASSES = slice(1, 2)  # the plane of preprocess.PLANES that may decide on normal
CARCINOMAS = 3


class SliceNet(torch.nn.Module):
    """(B, 2, 96, 128) uint8 or float 0..255 to (B, 4) logits: of the three carcinomas against each other, then of a carcinoma against none.

    The last is of ``presence``, which sees the masses alone. ``kind`` sees both planes and only shares out what is not
    normal: whatever it learns of a source, it cannot move the probability of normal (``probabilities.py`` keeps it so).
    """

    def __init__(self, widths: list[int], layers: list[int], dropout: float) -> None:
        super().__init__()
        self.presence = trunk(1, 1, widths, layers, dropout)
        self.kind = trunk(2, CARCINOMAS, widths, layers, dropout)
        self.familiarity = Familiarity(widths)

    def maps(self, planes: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Four maps each of ``presence`` and of ``kind``, fine to coarse."""
        values = planes.float() / 255
        return stages(self.presence, values[:, MASSES]), stages(self.kind, values)

    def judge(self, presence: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        """The last maps of both to (B, 4) logits."""
        return torch.cat([head(self.kind, kind), head(self.presence, presence)], 1)

    def distance(self, kind: list[torch.Tensor]) -> torch.Tensor:
        """(B,) distance of ``kind``'s maps from those of the training."""
        found: torch.Tensor = self.familiarity(kind)
        return found

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        presence, kind = self.maps(planes)
        return self.judge(presence[-1], kind[-1])


def trunk(channels: int, answers: int, widths: list[int], layers: list[int], dropout: float) -> ResNet:
    """A two-dimensional MONAI ResNet of basic blocks, its head behind dropout."""
    net = ResNet(
        block="basic",
        layers=layers,
        block_inplanes=widths,
        spatial_dims=2,
        n_input_channels=channels,
        conv1_t_size=3,
        conv1_t_stride=2,
        num_classes=answers,
        bias_downsample=False,
    )
    net.fc = torch.nn.Sequential(torch.nn.Dropout(dropout), net.fc)  # type: ignore[assignment, arg-type]
    return net


def stages(net: ResNet, values: torch.Tensor) -> list[torch.Tensor]:
    """The four stages' maps."""
    x = net.conv1(values.contiguous(memory_format=torch.channels_last))
    x = net.maxpool(net.act(net.bn1(x)))
    found = []
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        found.append(x)
    return found


def head(net: ResNet, last: torch.Tensor) -> torch.Tensor:
    """The last map to logits: mean over the picture, then the linear layer."""
    logits: torch.Tensor = net.fc(torch.flatten(net.avgpool(last), 1))  # type: ignore[misc]
    return logits


def build(network: Mapping[str, Any]) -> SliceNet:
    """From the card's ``[network]`` table: ``widths``, ``layers``, ``dropout``."""
    net = SliceNet(list(network["widths"]), list(network["layers"]), float(network["dropout"]))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


class Members(torch.nn.Module):
    """One network for every fold, each trained without its own fold."""

    def __init__(self, network: Mapping[str, Any]) -> None:
        super().__init__()
        self.nets = torch.nn.ModuleList(build(network) for _ in range(int(network["members"])))

    def __getitem__(self, index: int) -> SliceNet:
        net = self.nets[index]
        assert isinstance(net, SliceNet)
        return net

    def chosen(self, member: int | None) -> list[SliceNet]:
        """One of them, or all."""
        return [self[i] for i in range(len(self.nets))] if member is None else [self[member]]
