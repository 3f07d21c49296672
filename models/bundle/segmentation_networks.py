"""Segmentation networks that a bundle may name (an allow list), built by code of this package from the card's plain values."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from core.errors import ModelError
from models.bundle.allow_list import check_arguments
from models.bundle.config_reader import BundleCall, BundleConfig
from models.installed import SEGMENTATION_KINDS

KINDS = SEGMENTATION_KINDS
TARGETS = {
    name: kind
    for kind in KINDS
    for name in (kind.rpartition(".")[2], kind, f"monai.networks.nets.{kind.rpartition('.')[2].lower()}.{kind.rpartition('.')[2]}")
}
# Arguments of each network and their types; dimensions and channels are checked in ``describe_network``.
ARGUMENTS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "UNet": {
        "spatial_dims": (int,), "in_channels": (int,), "out_channels": (int,), "channels": (list,), "strides": (list,),
        "kernel_size": (int, list), "up_kernel_size": (int, list), "num_res_units": (int,), "act": (str, list), "norm": (str, list),
        "dropout": (int, float), "bias": (bool,), "adn_ordering": (str,),
    },
    "SegResNet": {
        "spatial_dims": (int,), "init_filters": (int,), "in_channels": (int,), "out_channels": (int,), "dropout_prob": (int, float),
        "act": (str, list), "norm": (str, list), "num_groups": (int,), "use_conv_final": (bool,), "blocks_down": (list,),
        "blocks_up": (list,), "upsample_mode": (str,),
    },
}  # fmt: skip
ACTIVATIONS = ("softmax", "sigmoid")


def is_segmentation(config: BundleConfig) -> bool:
    """Whether the bundle's network is one of these."""
    network = config.require("network_def")
    return isinstance(network, BundleCall) and network.target in TARGETS


def describe_network(config: BundleConfig) -> dict[str, Any]:
    """The bundle's network as plain values for a card.

    Raises
    ------
    ModelError
        An argument that is not on the allow list, another number of dimensions or of input channels, or no activation.
    """
    network: BundleCall = config.require("network_def")
    kind = TARGETS[network.target]
    check_arguments(network, ARGUMENTS[kind.rpartition(".")[2]])
    given = dict(network.kwargs)
    if (given.get("spatial_dims"), given.get("in_channels", 1)) != (3, 1) or given.get("out_channels", 0) < 1:
        raise ModelError("a segmentation network needs 3 spatial_dims, 1 in_channels and at least 1 out_channels")
    return {"kind": kind, "activation": read_activation(config), "arguments": given, "out_channels": given["out_channels"]}


def read_activation(config: BundleConfig) -> str:
    """The function of the bundle's Activationsd that converts logits: softmax or sigmoid. Raises ModelError where there is none."""
    pipeline = config.require("postprocessing")
    steps = pipeline.kwargs.get("transforms", []) if isinstance(pipeline, BundleCall) else []
    for step in steps:
        if isinstance(step, BundleCall) and step.name == "Activationsd":
            chosen = [name for name in ACTIVATIONS if step.kwargs.get(name) is True]
            if len(chosen) == 1:
                return chosen[0]
    raise ModelError("postprocessing has no Activationsd with softmax or sigmoid: the meaning of the network's output is not known")


def build(settings: Mapping[str, Any]) -> nn.Module:
    """The network of a card's table with random weights; nothing is downloaded."""
    from monai.networks.nets.segresnet import SegResNet
    from monai.networks.nets.unet import UNet

    made = {"UNet": UNet, "SegResNet": SegResNet}.get(str(settings.get("kind")).rpartition(".")[2])
    if made is None or settings["kind"] not in KINDS:
        raise ModelError(f"the network {settings.get('kind')!r} is not on the allow list", hint="import the bundle again")
    network: nn.Module = made(**settings["arguments"])
    return network
