"""EfficientNet-Lite0 as a classifier of lesions: MONAI's EfficientNet without squeeze-and-excitation and with ReLU6.

M. Tan, Q. Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019 (arXiv 1905.11946). The Lite variants replace
swish by ReLU6 and leave out squeeze-and-excitation, so that they run fast on a CPU; they exist with ImageNet weights of free terms.
"""

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.nets.efficientnet import EfficientNet

from models.dermoscopy.network import Fusion

KIND = "monai.networks.nets.EfficientNet"
# MONAI's notation: repeats, kernel side, stride, expansion, channels in and out. One line is one stage of the network.
STAGES = (
    "r1_k3_s11_e1_i32_o16",
    "r2_k3_s22_e6_i16_o24",
    "r2_k5_s22_e6_i24_o40",
    "r3_k3_s22_e6_i40_o80",
    "r3_k5_s11_e6_i80_o112",
    "r4_k5_s22_e6_i112_o192",
    "r1_k3_s11_e6_i192_o320",
)
WIDTH = 1280  # channels of the last map
MAP_STAGES = (1, 2, 4)  # stages whose output is a map at a quarter, an eighth and a sixteenth of the side
MAP_WIDTHS = (24, 40, 112, WIDTH)
MULTIPLE_PX = 32  # the padding is right only for sides that are multiples of this
MEAN, SCALE = 127.0, 128.0  # the input is (x - MEAN) / SCALE, as the ImageNet weights expect it


class LiteTrunk(EfficientNet):
    """EfficientNet-Lite0 up to its last map, without a classifier of its own."""

    def __init__(self, drop_path: float = 0.0) -> None:
        super().__init__(list(STAGES), image_size=224, dropout_rate=0.0, drop_connect_rate=drop_path)
        self._fc = torch.nn.Identity()  # type: ignore[assignment]
        for module in self.modules():
            if hasattr(module, "_swish"):
                module._swish = torch.nn.ReLU6(inplace=True)

    def stem(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) normalised to (B, 32, Y / 2, X / 2)."""
        stem: torch.Tensor = self._swish(self._bn0(self._conv_stem(self._conv_stem_padding(image))))
        return stem

    def last(self, coarse: torch.Tensor) -> torch.Tensor:
        """(B, 320, Y, X), the output of the last stage, to (B, WIDTH, Y, X)."""
        last: torch.Tensor = self._swish(self._bn1(self._conv_head(self._conv_head_padding(coarse))))
        return last

    def stages(self) -> list[torch.nn.Module]:
        """The seven stages in the order of ``STAGES``."""
        return list(self._blocks)


class LiteNet(torch.nn.Module):
    """(B, 3, Y, X) uint8 or float 0..255 to (B, classes) logits, all classes weighted alike.

    Y and X are multiples of ``MULTIPLE_PX``. The values are normalised inside, so that no caller can forget it.
    ``facts`` of 0 leaves out the part that uses age, sex and site of the patient.
    """

    def __init__(self, classes: int, *, dropout: float = 0.0, drop_path: float = 0.0, facts: int = 0) -> None:
        super().__init__()
        self.trunk = LiteTrunk(drop_path)
        self.dropout = torch.nn.Dropout(dropout)
        self.classify = torch.nn.Linear(WIDTH, classes)
        torch.nn.init.normal_(self.classify.weight, std=0.01)
        torch.nn.init.zeros_(self.classify.bias)
        self.fusion = Fusion(WIDTH, facts, classes, dropout) if facts else None

    def normal(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) 0..255 to the values that the trunk expects. Raises ValueError for sides that its padding does not fit."""
        if image.shape[-1] % MULTIPLE_PX or image.shape[-2] % MULTIPLE_PX:
            raise ValueError(f"the sides must be multiples of {MULTIPLE_PX} pixels, not {tuple(image.shape[-2:])}")
        return ((image.float() - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Four maps, fine to coarse: ``MAP_WIDTHS`` channels at 1/4, 1/8, 1/16 and 1/32 of the image's side."""
        return self.maps_from(0, self.trunk.stem(self.normal(image)))

    def maps_from(self, first: int, x: torch.Tensor) -> list[torch.Tensor]:
        """Of ``maps`` those that stages ``first``..6 make from ``x``, the output of the stage before (0: of the stem)."""
        found = []
        for place, stage in enumerate(self.trunk.stages()[first:], first):
            x = stage(x)
            if place in MAP_STAGES:
                found.append(x)
        return [*found, self.trunk.last(x)]

    def judge(self, coarsest: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """The last map (B, WIDTH, Y, X) to logits (B, classes). ``facts`` None: nothing known of the patient."""
        features = coarsest.mean((2, 3))
        logits: torch.Tensor = self.classify(self.dropout(features))
        if self.fusion is None:
            return logits
        if facts is None:
            facts = features.new_zeros(len(features), self.fusion.both.in_features - features.shape[1])
        added: torch.Tensor = self.fusion(features, facts)
        return logits + added

    def forward(self, image: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """Logits alone."""
        return self.judge(self.maps(image)[-1], facts)


def build_lite(network: Mapping[str, Any], classes: int) -> LiteNet:
    """From a table of the card: ``dropout``, ``drop_path``, ``facts``; in channels-last memory format."""
    net = LiteNet(
        classes,
        dropout=float(network.get("dropout", 0.0)),
        drop_path=float(network.get("drop_path", 0.0)),
        facts=int(network.get("facts", 0)),
    )
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net
