"""The feature extractor of MONAI's RetinaNet without torchvision, which MONAI's own version needs for one class.

torchvision would have to match torch's wheel (CPU or CUDA) exactly. Tensor names are those of MONAI's version, so that its weights load:
``body.<child of the backbone>``, ``fpn``.
"""

from collections.abc import Sequence

import torch
from monai.networks.blocks.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from monai.networks.nets.resnet import ResNet
from torch import nn

OUT_CHANNELS = 256  # as in monai.networks.blocks.backbone_fpn_utils


class ResNetFeaturePyramid(nn.Module):
    """(N, C, ...) to feature maps, the finest first; ``returned_layers`` count from 1, one coarser level is added."""

    def __init__(self, backbone: ResNet, spatial_dims: int, returned_layers: Sequence[int]) -> None:
        super().__init__()
        layers = [f"layer{number}" for number in returned_layers]
        children = list(backbone.named_children())
        last = max(index for index, (name, _) in enumerate(children) if name in layers)
        self.body = nn.ModuleDict(dict(children[: last + 1]))
        base = int(backbone.in_planes) // 8
        channels = [base * 2 ** (number - 1) for number in returned_layers]
        self.fpn = FeaturePyramidNetwork(
            spatial_dims=spatial_dims, in_channels_list=channels, out_channels=OUT_CHANNELS, extra_blocks=LastLevelMaxPool(spatial_dims)
        )
        self.out_channels = OUT_CHANNELS
        self._layers = {name: str(index) for index, name in enumerate(layers)}

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """As the class says."""
        found = {}
        for name, module in self.body.items():
            x = module(x)
            if name in self._layers:
                found[self._layers[name]] = x
        maps: dict[str, torch.Tensor] = self.fpn(found)
        return maps
