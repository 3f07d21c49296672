"""Detection networks that a bundle may name (an allow list), built by code of this package from the card's plain values."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from core.errors import ModelError
from models.bundle.allow_list import FIX, number, require_call, whole_number
from models.bundle.config_reader import BundleConfig
from models.installed import BUNDLE_KIND

KIND = BUNDLE_KIND
NETWORKS = (
    "RetinaNet",
    "monai.apps.detection.networks.retinanet_network.RetinaNet",
)
EXTRACTORS = (
    "resnet_fpn_feature_extractor",
    "monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor",
)
BACKBONES = tuple(f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200))
PREFIXES = ("", "monai.networks.nets.", "monai.networks.nets.resnet.", "nets.", "resnet.")
BACKBONE_ARGUMENTS = {
    "spatial_dims": int,
    "n_input_channels": int,
    "conv1_t_size": (int, list),
    "conv1_t_stride": (int, list),
    "no_max_pool": bool,
    "shortcut_type": str,
    "widen_factor": (int, float),
    "bias_downsample": bool,
}
ANCHORS = (
    "AnchorGeneratorWithAnchorShape",
    "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
)


def describe_network(config: BundleConfig) -> dict[str, Any]:
    """The bundle's network as plain values for a card.

    Raises
    ------
    ModelError
        A network, a part of one or an argument that is not on the allow list.
    """
    network = require_call(config.require("network_def"), NETWORKS, "network_def")
    extractor = require_call(network.kwargs.get("feature_extractor"), EXTRACTORS, "feature_extractor")
    backbone = require_call(extractor.argument(0, "backbone"), [p + b for p in PREFIXES for b in BACKBONES], "backbone")
    anchors = require_call(config.require("anchor_generator"), ANCHORS, "anchor_generator")
    given = {key: value for key, value in backbone.kwargs.items() if key not in ("pretrained", "progress")}
    if backbone.args and any(backbone.args):
        raise ModelError("the backbone's arguments must be given by name", hint=FIX)
    for key, value in given.items():
        if key not in BACKBONE_ARGUMENTS or not isinstance(value, BACKBONE_ARGUMENTS[key]):  # type: ignore[arg-type]
            raise ModelError(f"the backbone's argument {key} is not on the allow list: {', '.join(BACKBONE_ARGUMENTS)}")
    divisible = network.kwargs.get("size_divisible", 1)
    return {
        "kind": KIND,
        "spatial_dims": whole_number(network.kwargs.get("spatial_dims"), "spatial_dims"),
        "num_classes": whole_number(network.kwargs.get("num_classes"), "num_classes"),
        "num_anchors": whole_number(network.kwargs.get("num_anchors"), "num_anchors"),
        "size_divisible": [whole_number(one, "size_divisible") for one in (divisible if isinstance(divisible, list) else [divisible] * 3)],
        "returned_layers": [whole_number(one, "returned_layers") for one in extractor.argument(3, "returned_layers", [1, 2, 3])],
        "feature_map_scales": [number(one, "feature_map_scales") for one in anchors.kwargs.get("feature_map_scales", [1, 2, 4, 8])],
        "base_anchor_shapes": [
            [number(one, "base_anchor_shapes") for one in shape] for shape in anchors.kwargs.get("base_anchor_shapes", [])
        ],
        "backbone": {"name": backbone.name, **given},
    }


def build(settings: Mapping[str, Any]) -> nn.Module:
    """The network of a card's table with random weights; nothing is downloaded."""
    from monai.apps.detection.networks.retinanet_network import RetinaNet
    from monai.networks.nets import resnet

    from models.bundle.feature_pyramid import ResNetFeaturePyramid

    if settings.get("kind") != KIND or settings["backbone"]["name"] not in BACKBONES:
        raise ModelError(f"the network {settings.get('kind')!r} is not on the allow list", hint="import the bundle again")
    given = {key: value for key, value in settings["backbone"].items() if key != "name"}
    backbone = getattr(resnet, settings["backbone"]["name"])(pretrained=False, **given)
    dims = settings["spatial_dims"]
    features = ResNetFeaturePyramid(backbone, dims, settings["returned_layers"])
    network: nn.Module = RetinaNet(
        spatial_dims=dims,
        num_classes=settings["num_classes"],
        num_anchors=settings["num_anchors"],
        feature_extractor=features,
        size_divisible=settings["size_divisible"],
    )
    return network
