"""Two slim MONAI ResNets: one decides from the masses alone whether there is a carcinoma, the other which one."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from models.classifier.out_of_distribution import FeatureDistance
from models.classifier.slim_resnet import head_logits, pooled_features, slim_resnet, stage_maps

MASSES = slice(1, 2)  # the plane of preprocess.PLANES from which the probability of normal is computed
CARCINOMAS = 3


class SliceNet(torch.nn.Module):
    """(B, 2, 96, 128) uint8 or float 0..255 to (B, 4) logits: the three carcinomas against each other, then a carcinoma against none.

    The last logit comes from ``presence``, which sees the masses alone. ``kind`` sees both planes and only divides the probability that
    is not normal: image features of a data source cannot change the probability of normal (``probabilities.py`` keeps it so). The names
    of the attributes are part of the names of the shipped weights.
    """

    def __init__(self, widths: list[int], layers: list[int], dropout: float) -> None:
        super().__init__()
        self.presence = slim_resnet(1, 1, widths, layers, dropout)
        self.kind = slim_resnet(2, CARCINOMAS, widths, layers, dropout)
        self.familiarity = FeatureDistance(widths)

    def maps(self, planes: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Four feature maps each of ``presence`` and of ``kind``, fine to coarse."""
        values = planes.float() / 255
        return stage_maps(self.presence, values[:, MASSES]), stage_maps(self.kind, values)

    def classify(self, presence: torch.Tensor, kind: torch.Tensor) -> torch.Tensor:
        """The last maps of both to (B, 4) logits."""
        return torch.cat([head_logits(net, pooled_features(net, last)) for net, last in ((self.kind, kind), (self.presence, presence))], 1)

    def distance(self, kind: list[torch.Tensor]) -> torch.Tensor:
        """(B,) distance of ``kind``'s maps from those of the training images."""
        found: torch.Tensor = self.familiarity(kind)
        return found

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        presence, kind = self.maps(planes)
        return self.classify(presence[-1], kind[-1])


def class_log_probabilities(logits: torch.Tensor, prior: torch.Tensor, kind: float = 1.0, presence: float = 1.0) -> torch.Tensor:
    """(B, 4) logits to (B, 4) logarithms of what ``probabilities.probabilities`` computes, with gradients.

    ``prior`` (4,): the shares of the classes; ``kind`` and ``presence``: temperatures.
    """
    kinds = F.log_softmax(logits[:, :-1] / kind + prior[:-1].log(), dim=1)
    present = logits[:, -1:] / presence + (prior[:-1].sum() / prior[-1]).log()
    return torch.cat([kinds + F.logsigmoid(present), F.logsigmoid(-present)], 1)


def build(network: Mapping[str, Any]) -> SliceNet:
    """The network of a card's ``[network]`` table: ``widths``, ``layers``, ``dropout``."""
    net = SliceNet(list(network["widths"]), list(network["layers"]), float(network["dropout"]))
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


class FoldEnsemble(torch.nn.Module):
    """One network for every fold, each trained without its own fold."""

    def __init__(self, network: Mapping[str, Any]) -> None:
        super().__init__()
        self.nets = torch.nn.ModuleList(build(network) for _ in range(int(network["members"])))

    def __getitem__(self, index: int) -> SliceNet:
        net = self.nets[index]
        assert isinstance(net, SliceNet)
        return net

    def chosen(self, member: int | None) -> list[SliceNet]:
        """The network ``member``, or all."""
        return [self[i] for i in range(len(self.nets))] if member is None else [self[member]]
