"""Networks as they serve on the CPU: a convolution with its activation and its sum is one call of oneDNN, with packed weights.

The answers are the same up to rounding, in three quarters of the time. torch otherwise packs the weights of a convolution again at every
call, and computes activation and sum in passes of their own. Without gradients: Grad-CAM begins behind these layers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from monai.networks.nets.efficientnet import MBConvBlock
from monai.networks.nets.resnet import ResNet, ResNetBlock
from torch import nn

from models.classifier.efficientnet_lite import LiteTrunk

Activation = tuple[str, list[float]]  # oneDNN's name and its parameters
Shapes = Mapping[nn.Module, list[int]]  # of the input of every convolution
NOTHING: Activation = ("none", [])
RELU: Activation = ("relu", [])
RELU6: Activation = ("hardtanh", [0.0, 6.0])
ONEDNN: Any = torch.ops.mkldnn  # the calls that torch's own compiler makes on a CPU


class FusedConvolution(nn.Module):
    """A Conv2d followed by an activation; a second map, where one is given, is added before the activation.

    ``shape`` (B, C, Y, X) of the input decides how the weights are packed; inputs of other shapes give the same answers, slower.
    """

    def __init__(self, conv: nn.Module, shapes: Shapes, activation: Activation = NOTHING) -> None:
        super().__init__()
        assert isinstance(conv, nn.Conv2d)
        assert not isinstance(conv.padding, str)
        self._geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self._activation, self._parameters_of_activation = activation
        self._bias = conv.bias
        plain = conv.weight.detach().contiguous(memory_format=torch.channels_last)
        self._packed = ONEDNN._reorder_convolution_weight(plain, *self._geometry, shapes[conv])

    def forward(self, values: torch.Tensor, other: torch.Tensor | None = None) -> torch.Tensor:
        """(B, C, Y, X) to the output's shape, which is also that of ``other``."""
        layer, name, numbers = (self._packed, self._bias, *self._geometry), self._activation, self._parameters_of_activation
        found: torch.Tensor
        if other is None:
            found = ONEDNN._convolution_pointwise(values, *layer, name, numbers, "")
        else:
            found = ONEDNN._convolution_pointwise.binary(values, other, *layer, "add", 1.0, None if name == "none" else name, numbers, "")
        return found


class FusedResidual(nn.Module):
    """MONAI's ResNetBlock, whose normalisations are folded."""

    def __init__(self, block: ResNetBlock, shapes: Shapes) -> None:
        super().__init__()
        self.first, self.second = FusedConvolution(block.conv1, shapes, RELU), FusedConvolution(block.conv2, shapes, RELU)
        changes = isinstance(block.downsample, nn.Sequential)
        self.shortcut = FusedConvolution(block.downsample[0], shapes) if changes else nn.Identity()  # type: ignore[index]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As ResNetBlock."""
        found: torch.Tensor = self.second(self.first(values), self.shortcut(values))
        return found


class FusedInvertedResidual(nn.Module):
    """MONAI's MBConvBlock with ReLU6 and without squeeze-and-excitation, whose normalisations and paddings are folded."""

    def __init__(self, block: MBConvBlock, shapes: Shapes) -> None:
        super().__init__()
        expands = block.expand_ratio != 1
        self.expand = FusedConvolution(block._expand_conv, shapes, RELU6) if expands else nn.Identity()
        self.depthwise = FusedConvolution(block._depthwise_conv, shapes, RELU6)
        self.project = FusedConvolution(block._project_conv, shapes)
        self._adds = block.id_skip and block.stride == 1 and block.in_channels == block.out_channels

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As MBConvBlock."""
        found: torch.Tensor = self.project(self.depthwise(self.expand(values)), values if self._adds else None)
        return found


@torch.no_grad()
def input_shapes(net: nn.Module, run: Callable[[], object]) -> dict[nn.Module, list[int]]:
    """The shape of the input of every convolution of ``net`` in ``run()``, which runs it on an input of the size that it will serve."""
    found: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, given: tuple[torch.Tensor, ...], _output: torch.Tensor) -> None:
        found[module] = list(given[0].shape)

    hooks = [module.register_forward_hook(note) for module in net.modules() if isinstance(module, nn.Conv2d)]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return found


def fuse_resnet(net: ResNet, shapes: Shapes) -> None:
    """Change a ResNet of basic blocks in place, after ``fold_resnet``."""
    net.conv1, net.act = FusedConvolution(net.conv1, shapes, RELU), nn.Identity()  # type: ignore[assignment]
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        _replace(layer, lambda block: FusedResidual(block, shapes))


def fuse_lite(trunk: LiteTrunk, shapes: Shapes) -> None:
    """Change an EfficientNet-Lite in place, after ``fold_lite``."""
    for stage in trunk.stages():
        _replace(stage, lambda block: FusedInvertedResidual(block, shapes))
    trunk._conv_stem = FusedConvolution(trunk._conv_stem, shapes, RELU6)  # type: ignore[assignment]
    trunk._conv_head = FusedConvolution(trunk._conv_head, shapes, RELU6)  # type: ignore[assignment]
    trunk._swish = nn.Identity()


def _replace(parent: nn.Module, make: Callable[[Any], nn.Module]) -> None:
    for name, child in list(parent.named_children()):
        setattr(parent, name, make(child))
