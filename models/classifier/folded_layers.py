"""Networks as they serve: batch normalisation and padding become parts of the convolutions, in place.

The answers are the same up to rounding, in three quarters of the time. The networks are in eval mode and are not trained afterwards.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.classifier.efficientnet_lite import LiteTrunk

NORMALISED = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))  # of every block of an EfficientNet
PADDED = ("_conv_stem", "_expand_conv", "_depthwise_conv", "_project_conv", "_conv_head")  # MONAI's names of what a padding precedes


def fold_resnet(net: nn.Module) -> None:
    """Fold the normalisations of every ResNet block in ``net``, and of every sequence that begins with a convolution."""
    for parent in net.modules():
        if isinstance(parent, nn.Sequential) and len(parent) > 1:
            _fold(parent, "0", "1")
        for number in ("1", "2"):
            _fold(parent, f"conv{number}", f"bn{number}")


def fold_lite(trunk: LiteTrunk) -> None:
    """Fold all normalisations and paddings of an EfficientNet-Lite."""
    fold_normalisation(trunk)
    fold_padding(trunk)


def fold_normalisation(trunk: LiteTrunk, stages: int | None = None) -> None:
    """Fold every batch normalisation into the convolution before it: the same answers in two thirds of the time.

    ``stages``: only of the stem and the first stages.
    """
    _fold(trunk, "_conv_stem", "_bn0")
    if stages is None:
        _fold(trunk, "_conv_head", "_bn1")
    for block in (block for stage in trunk.stages()[:stages] for block in stage.children()):
        for conv, norm in NORMALISED:
            _fold(block, conv, norm)  # the first stage does not expand


def _fold(parent: nn.Module, conv: str, norm: str) -> None:
    before, after = getattr(parent, conv, None), getattr(parent, norm, None)
    if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
        setattr(parent, conv, fuse_conv_bn_eval(before, after))
        setattr(parent, norm, nn.Identity())


@torch.no_grad()
def fold_padding(trunk: LiteTrunk) -> None:
    """Pad inside the convolutions instead of in copies of their inputs, which take a fifth of the time.

    Where one side is padded less than the other, the kernel gets zeros in front, and both sides are padded alike.
    """
    for parent in trunk.modules():
        for name in PADDED:
            padding, conv = getattr(parent, f"{name}_padding", None), getattr(parent, name, None)
            if isinstance(padding, nn.ConstantPad2d) and isinstance(conv, nn.Conv2d):
                left, right, top, bottom = padding.padding
                weight = F.pad(conv.weight, (right - left, 0, bottom - top, 0))
                conv.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
                conv.kernel_size, conv.padding = (weight.shape[2], weight.shape[3]), (bottom, right)
                setattr(parent, f"{name}_padding", nn.Identity())
