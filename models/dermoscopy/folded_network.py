"""The networks as they serve: the same answers up to rounding in three quarters of the time."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.dermoscopy.efficientnet_lite import LiteNet, LiteTrunk, fold_normalisation
from models.dermoscopy.network import LesionNet

PADDED = ("_conv_stem", "_expand_conv", "_depthwise_conv", "_project_conv", "_conv_head")  # MONAI's names of what a padding precedes


def prepare_network(net: LesionNet | LiteNet) -> None:
    """Change a network in place that is in eval mode and is not trained afterwards: batch normalisation and padding become parts of the
    convolutions."""
    if isinstance(net, LiteNet):
        fold_normalisation(net.trunk)
        fold_padding(net.trunk)
        return
    for parent in net.modules():
        if isinstance(parent, nn.Sequential) and len(parent) > 1:
            _fold(parent, "0", "1")
        for number in ("1", "2"):
            _fold(parent, f"conv{number}", f"bn{number}")


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
