"""EfficientNet-Lite0 as a classifier of lesions: MONAI's EfficientNet without squeeze-and-excitation and with ReLU6.

M. Tan, Q. Le, EfficientNet: rethinking model scaling for convolutional neural networks, 2019 (arXiv 1905.11946). The Lite variants replace
swish by ReLU6 and leave out squeeze-and-excitation, which makes them fast on a CPU. They exist with ImageNet weights under Apache-2.0.
"""

from collections.abc import Mapping
from typing import Any

import torch
from monai.networks.nets.efficientnet import EfficientNet
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.dermoscopy.network import PatientFusion

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
MULTIPLE_PX = 32  # the padding of the convolutions fits only sides that are multiples of this
MEAN, SCALE = 127.0, 128.0  # the input is (x - MEAN) / SCALE, as the ImageNet weights expect it
NORMALISED = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))  # of every block


class LiteTrunk(EfficientNet):
    """EfficientNet-Lite0 up to its last map, without a classifier. The names of the attributes are MONAI's."""

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

    def stages(self) -> list[torch.nn.Module]:
        """The seven stages in the order of ``STAGES``."""
        return list(self._blocks)

    def last_map(self, coarse: torch.Tensor) -> torch.Tensor:
        """(B, 320, Y, X), the output of the last stage, to (B, WIDTH, Y, X)."""
        last: torch.Tensor = self._swish(self._bn1(self._conv_head(self._conv_head_padding(coarse))))
        return last


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

    def normalise(self, image: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) 0..255 to the values that the trunk expects. Raises ValueError for sides that are no multiples of 32."""
        if image.shape[-1] % MULTIPLE_PX or image.shape[-2] % MULTIPLE_PX:
            raise ValueError(f"the sides must be multiples of {MULTIPLE_PX} pixels, not {tuple(image.shape[-2:])}")
        return ((image.to(self.head.weight.dtype) - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)

    def maps(self, image: torch.Tensor) -> list[torch.Tensor]:
        """The last feature map, (B, WIDTH, Y / 32, X / 32), in a list, as the other networks return their maps."""
        return [self.last_map_from(0, self.trunk.stem(self.normalise(image)))]

    def last_map_from(self, first: int, x: torch.Tensor) -> torch.Tensor:
        """The last feature map from ``x``, the input of stage ``first`` (0: the output of the stem)."""
        for stage in self.trunk.stages()[first:]:
            x = stage(x)
        return self.trunk.last_map(x)

    def classify(self, coarsest: torch.Tensor, facts: torch.Tensor | None = None) -> torch.Tensor:
        """The last map (B, WIDTH, Y, X) to logits (B, classes). ``facts`` None: nothing is known of the patient."""
        features = coarsest.mean((2, 3))
        logits: torch.Tensor = self.head(self.dropout(features))
        if self.fusion is None:
            return logits
        if facts is None:
            facts = features.new_zeros(len(features), self.fusion.both.in_features - features.shape[1])
        added: torch.Tensor = self.fusion(features, facts)
        return logits + added

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


def fold_normalisation(trunk: LiteTrunk, stages: int | None = None) -> None:
    """Fold every batch normalisation into the convolution before it, in place: the same answers in two thirds of the time.

    ``trunk`` is in eval mode and is not trained afterwards. ``stages``: only of the stem and the first stages.
    """
    trunk._conv_stem, trunk._bn0 = fuse_conv_bn_eval(trunk._conv_stem, trunk._bn0), torch.nn.Identity()
    if stages is None:
        trunk._conv_head, trunk._bn1 = fuse_conv_bn_eval(trunk._conv_head, trunk._bn1), torch.nn.Identity()
    for block in (block for stage in trunk.stages()[:stages] for block in stage.children()):
        for conv, norm in NORMALISED:
            if isinstance(getattr(block, conv), torch.nn.Conv2d):  # the first stage does not expand
                setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                setattr(block, norm, torch.nn.Identity())
