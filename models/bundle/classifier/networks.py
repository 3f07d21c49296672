"""Classification networks that a bundle may name (an allow list), built by code of this package from the card's plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from torch import nn

from core.errors import ModelError
from models.bundle.allow_list import check_arguments
from models.bundle.config_reader import BundleCall, BundleConfig
from models.bundle.segmentation_networks import read_activation
from models.installed import CLASSIFIER_KINDS

MAX_CLASSES = 200
_NORM = {"act": (str, list), "norm": (str, list)}
_DROPOUT = (int, float)


@dataclass(frozen=True, slots=True)
class NetworkFamily:
    """Networks of one module of ``monai.networks.nets``.

    Attributes
    ----------
    channels, classes
        The names of the arguments for input channels and for classes.
    arguments
        Further arguments, with the types of their values.
    evidence
        The layer whose output Grad-CAM weighs; "" where the network has no feature map.
    spatial_dims
        MONAI's default; None where the argument is required.
    """

    module: str
    channels: str
    classes: str
    arguments: Mapping[str, tuple[type, ...]]
    evidence: str = ""
    spatial_dims: int | None = None


_SENET = {"layers": (list,), "groups": (int,), "reduction": (int,), "inplanes": (int,), "downsample_kernel_size": (int,)}
FAMILIES = {
    "DenseNet": NetworkFamily(
        "densenet", "in_channels", "out_channels",
        {**_NORM, "init_features": (int,), "growth_rate": (int,), "block_config": (list,), "bn_size": (int,), "dropout_prob": _DROPOUT},
        "class_layers.relu",
    ),
    "resnet": NetworkFamily(
        "resnet", "n_input_channels", "num_classes",
        {
            **_NORM, "conv1_t_size": (int, list), "conv1_t_stride": (int, list), "no_max_pool": (bool,), "shortcut_type": (str,),
            "widen_factor": (int, float), "bias_downsample": (bool,),
        },
        "layer4", 3,
    ),
    "SE": NetworkFamily(
        "senet", "in_channels", "num_classes", {**_SENET, "dropout_prob": _DROPOUT, "dropout_dim": (int,), "input_3x3": (bool,)}, "layer4"
    ),
    "EfficientNet": NetworkFamily(
        "efficientnet", "in_channels", "num_classes", {"model_name": (str,), "norm": (str, list), "adv_prop": (bool,)}, "_bn1", 2
    ),
    "ViT": NetworkFamily(
        "vit", "in_channels", "num_classes",
        {
            "img_size": (int, list), "patch_size": (int, list), "hidden_size": (int,), "mlp_dim": (int,), "num_layers": (int,),
            "num_heads": (int,), "proj_type": (str,), "pos_embed_type": (str,), "classification": (bool,), "dropout_rate": _DROPOUT,
            "post_activation": (str,), "qkv_bias": (bool,),
        },
        "", 3,
    ),
}  # fmt: skip
IGNORED = {"pretrained": (bool,), "progress": (bool,)}  # the weights are the bundle's; nothing is downloaded


def family_of(kind: str) -> NetworkFamily:
    """The family of a kind on the allow list."""
    name = kind.rpartition(".")[2]
    return next(family for prefix, family in FAMILIES.items() if name.startswith(prefix))


def _targets() -> dict[str, str]:
    """Every way in which a bundle may write a kind, and the kind."""
    found: dict[str, str] = {}
    for kind in CLASSIFIER_KINDS:
        package, _, name = kind.rpartition(".")
        found |= dict.fromkeys((name, kind, f"{package}.{family_of(kind).module}.{name}"), kind)
    return found


TARGETS = _targets()


def is_classifier(config: BundleConfig) -> bool:
    """Whether the bundle's network is one of these."""
    network = config.require("network_def")
    return isinstance(network, BundleCall) and network.target in TARGETS


def describe_network(config: BundleConfig) -> dict[str, Any]:
    """The bundle's network as plain values for a card.

    Raises
    ------
    ModelError
        An argument that is not on the allow list, a number of dimensions, channels or classes that is not supported, or no activation.
    """
    network: BundleCall = config.require("network_def")
    kind = TARGETS[network.target]
    family = family_of(kind)
    own = {"spatial_dims": (int,), family.channels: (int,), family.classes: (int,)}
    check_arguments(network, {**own, **family.arguments, **IGNORED})
    given = {key: value for key, value in network.kwargs.items() if key not in IGNORED}
    spatial_dims = given.setdefault("spatial_dims", family.spatial_dims)
    channels, classes = given.get(family.channels), given.get(family.classes)
    if (spatial_dims, channels) not in ((2, 1), (2, 3), (3, 1)):
        raise ModelError(
            f"{network.name} has {spatial_dims} spatial_dims and {channels} {family.channels}",
            hint="classifiers of images (2 dimensions, 1 or 3 channels) and of CT series (3 dimensions, 1 channel) are run",
        )
    if type(classes) is not int or not 1 <= classes <= MAX_CLASSES:
        raise ModelError(f"{network.name} needs {family.classes} between 1 and {MAX_CLASSES}, not {classes!r}")
    if family.module == "vit" and given.get("classification") is not True:
        raise ModelError("ViT needs classification = true: without it the network has no class output")
    activation = read_activation(config)
    if activation == "softmax" and classes == 1:
        raise ModelError("a softmax over one class is always 1", hint="a network with one output needs a sigmoid")
    return {"kind": kind, "activation": activation, "arguments": given, "classes": classes, "channels": channels, "dims": spatial_dims}


def build(settings: Mapping[str, Any]) -> nn.Module:
    """The network of a card's table with random weights; nothing is downloaded."""
    kind = settings.get("kind")
    if kind not in CLASSIFIER_KINDS:
        raise ModelError(f"the network {kind!r} is not on the allow list", hint="import the bundle again")
    family, arguments = family_of(str(kind)), dict(settings["arguments"])
    if family.module != "vit":
        arguments["pretrained"] = False
    make = getattr(import_module(f"monai.networks.nets.{family.module}"), str(kind).rpartition(".")[2])
    network: nn.Module = make(**arguments)
    return network
