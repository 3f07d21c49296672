"""The frozen first stages of a network, as fast as a CPU computes them.

They never change in training, so each normalisation is folded into the convolution before it, and a few images at a time go through
all of them: their large maps then stay in the processor's cache. A third of the time of the unfolded stages on a whole batch.
"""

import copy

import torch
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.dermoscopy.lite import LiteNet

AT_ONCE = 2  # images


class Front:
    """The stem and the first ``stages`` stages of ``net``, copied; without gradients."""

    def __init__(self, net: LiteNet, stages: int) -> None:
        self.net, self.stages = net, stages
        trunk = copy.deepcopy(net.trunk).eval().requires_grad_(False)
        trunk._conv_stem, trunk._bn0 = fuse_conv_bn_eval(trunk._conv_stem, trunk._bn0), torch.nn.Identity()
        for block in (block for stage in trunk.stages()[:stages] for block in stage.children()):
            for conv, norm in (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")):
                if isinstance(getattr(block, conv), torch.nn.Conv2d):  # the first stage does not expand
                    setattr(block, conv, fuse_conv_bn_eval(getattr(block, conv), getattr(block, norm)))
                    setattr(block, norm, torch.nn.Identity())
        self.trunk = trunk

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, Y, X) 0..255 to the output of the last of the stages."""
        return torch.cat([self.through(part) for part in torch.split(self.net.normal(images), AT_ONCE)])

    def through(self, x: torch.Tensor) -> torch.Tensor:
        """A few normalised images."""
        x = self.trunk.stem(x)
        for stage in self.trunk.stages()[: self.stages]:
            x = stage(x)
        return x
