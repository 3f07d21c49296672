"""EfficientNet-Lite0 as a classifier of lesions, with an input for facts of the patient."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from models.classifier.efficientnet_lite import WIDTH, LiteTrunk, normalise
from models.dermoscopy.network import PatientFusion


class LiteNet(torch.nn.Module):
    """(B, 3, Y, X) uint8 or float 0..255 to (B, classes) logits without a prior of the classes.

    Y and X are multiples of 32. Pixel values are normalised inside the network, so that no caller can forget it. ``facts`` of 0 leaves
    out the patient's facts. The names of the attributes are part of the names of the shipped weights.
    """

    def __init__(self, classes: int, *, dropout: float = 0.0, drop_path: float = 0.0, facts: int = 0) -> None:
        super().__init__()
        self.trunk = LiteTrunk(drop_path)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(WIDTH, classes)
        torch.nn.init.normal_(self.head.weight, std=0.01)
        torch.nn.init.zeros_(self.head.bias)
        self.fusion = PatientFusion(WIDTH, facts, classes, dropout) if facts else None
        self.served_maps: Callable[[torch.Tensor], list[torch.Tensor]] | None = None  # in place of the trunk: see onnx_maps

    def normalise(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) 0..255 to the values that the trunk expects. Raises ValueError for sides that are no multiples of 32."""
        return normalise(image, self.head.weight.dtype)

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The last feature map, (B, WIDTH, Y / 32, X / 32), in a list, as the other networks return their maps."""
        values = self.normalise(image)
        return [self.last_map_from(0, self.trunk.stem(values))] if self.served_maps is None else self.served_maps(values)

    def last_map_from(self, first: int, x: torch.Tensor) -> torch.Tensor:
        """The last feature map from ``x``, the input of stage ``first`` (0: the output of the stem)."""
        for stage in self.trunk.stages()[first:]:
            x = stage(x)
        return self.trunk.last_map(x)

    def classify(self, coarsest: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """The last map (B, WIDTH, Y, X) to logits (B, classes). ``facts`` None: nothing is known of the patient."""
        features = coarsest.mean((2, 3))
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits if self.fusion is None else logits + self.fusion(features, facts)

    def forward(self, image: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """As the class says."""
        return self.classify(self.maps(image)[-1], facts)


def build_lite(network: Mapping[str, Any], classes: int) -> LiteNet:
    """The network of a card's table: ``dropout``, ``drop_path``, ``facts``."""
    net = LiteNet(
        classes,
        dropout=float(network.get("dropout", 0.0)),
        drop_path=float(network.get("drop_path", 0.0)),
        facts=int(network.get("facts", 0)),
    )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net
