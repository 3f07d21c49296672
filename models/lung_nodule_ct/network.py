"""The first stage's network: a slim residual 3D U-Net of MONAI, one channel in, one logit out, on 1 mm voxels."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

DEFAULT: Mapping[str, Any] = {"channels": [16, 32, 64, 96], "strides": [2, 2, 2], "residual_units": 2}


def build(settings: Mapping[str, Any] = DEFAULT) -> nn.Module:
    """The network of a card's ``[network]`` table: (N, 1, Z, Y, X) normalised HU to logits of the same shape.

    Batch and not instance normalisation: a window full of chest wall must not change the appearance of a nodule.
    """
    from monai.networks.nets.unet import UNet

    channels: Sequence[int] = [int(c) for c in settings["channels"]]
    unet = UNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=1,
        channels=channels,
        strides=[int(s) for s in settings["strides"]],
        num_res_units=int(settings["residual_units"]),
        norm="BATCH",
    )
    # Nodules are rare: the first bias gives a probability near 0.05 everywhere instead of 0.5.
    last = [module for module in unet.modules() if isinstance(module, nn.Conv3d | nn.ConvTranspose3d)][-1]
    if last.bias is not None:
        nn.init.constant_(last.bias, -3.0)
    return unet
