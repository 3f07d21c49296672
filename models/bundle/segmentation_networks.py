"""Segmentation networks that a bundle may name: an allow list, built by code of this package from the card's plain values."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from core.errors import ModelError
from models.bundle.config_reader import Call, Config
from models.installed import SEGMENTATION_KINDS

KINDS = SEGMENTATION_KINDS
TARGETS = {
    name: kind
    for kind in KINDS
    for name in (kind.rpartition(".")[2], kind, f"monai.networks.nets.{kind.rpartition('.')[2].lower()}.{kind.rpartition('.')[2]}")
}
# What each takes, and of which types; ``out_channels`` and 3 dimensions are asked for apart.
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


def wanted(config: Config) -> bool:
    """Whether the bundle's network is one of these."""
    network = config.need("network_def")
    return isinstance(network, Call) and network.target in TARGETS


def described(config: Config) -> dict[str, Any]:
    """The bundle's network as plain values for a card.

    Raises
    ------
    ModelError
        An argument that is not on the allow list, another number of dimensions or of input channels, or no activation.
    """
    network: Call = config.need("network_def")
    kind = TARGETS[network.target]
    known = ARGUMENTS[kind.rpartition(".")[2]]
    for key, value in network.kwargs.items():
        if key not in known or not isinstance(value, known[key]) or not plain(value) or (type(value) is bool and bool not in known[key]):
            raise ModelError(f"{network.name}'s argument {key} is not on the allow list as {value!r}: {', '.join(known)}")
    given = dict(network.kwargs)
    if (given.get("spatial_dims"), given.get("in_channels", 1)) != (3, 1) or given.get("out_channels", 0) < 1:
        raise ModelError("a segmentation network with 3 spatial_dims, 1 of in_channels and its out_channels is needed")
    return {"kind": kind, "activation": activation(config), "arguments": given, "out_channels": given["out_channels"]}


def activation(config: Config) -> str:
    """How the bundle makes shares of its network's answer: softmax or sigmoid, of its Activationsd."""
    pipeline = config.need("postprocessing")
    steps = pipeline.kwargs.get("transforms", []) if isinstance(pipeline, Call) else []
    for step in steps:
        if isinstance(step, Call) and step.name == "Activationsd":
            chosen = [name for name in ACTIVATIONS if step.kwargs.get(name) is True]
            if len(chosen) == 1:
                return chosen[0]
    raise ModelError("postprocessing has no Activationsd with softmax or sigmoid: what the network's answer means cannot be told")


def build(settings: Mapping[str, Any]) -> nn.Module:
    """The network of a card, with weights drawn at random; nothing is downloaded."""
    from monai.networks.nets.segresnet import SegResNet
    from monai.networks.nets.unet import UNet

    made = {"UNet": UNet, "SegResNet": SegResNet}.get(str(settings.get("kind")).rpartition(".")[2])
    if made is None or settings["kind"] not in KINDS:
        raise ModelError(f"the network {settings.get('kind')!r} is not on the allow list", hint="import the bundle again")
    network: nn.Module = made(**settings["arguments"])
    return network


def plain(value: Any) -> bool:
    """Whether a value is of numbers, texts, lists and tables alone, a few of them."""
    if isinstance(value, Mapping):
        return len(value) < 20 and all(isinstance(key, str) and plain(item) for key, item in value.items())
    if isinstance(value, list):
        return len(value) < 20 and all(map(plain, value))
    return isinstance(value, str | int | float | bool)
