"""Reads a bundle's pre-processing, sliding window and box selection as plain values for a card."""

from collections.abc import Mapping
from typing import Any

from core.errors import ModelError
from models.bundle import segmentation_networks
from models.bundle.allow_list import image_key, number, read_pipeline, read_spacing, require_enabled, require_image, whole_number
from models.bundle.config_reader import BundleCall, BundleConfig

OPERATING_SCORE, REVIEW_SCORE, MOST_FINDINGS, LEAST_VOLUME_MM3 = 0.5, 0.8, 20.0, 50.0
KNOWN_TRANSFORMS = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "Orientationd", "Spacingd", "ScaleIntensityRanged", "CastToTyped")

BOX_SELECTION = ("score_thresh", "topk_candidates_per_level", "nms_thresh", "detections_per_img")
BLENDS = ("constant", "gaussian")  # weights of overlapping windows


def read_preprocessing(config: BundleConfig) -> dict[str, Any]:
    """Grid, HU window and sliding window. Raises ModelError for an unknown transform, because leaving it out would change results."""
    steps = read_pipeline(config, "preprocessing")
    named = {step.name: step for step in steps}
    unknown = sorted(set(named) - set(KNOWN_TRANSFORMS))
    if unknown:
        raise ModelError(f"preprocessing has transforms that are not known here: {', '.join(unknown)}")
    for needed in ("Spacingd", "ScaleIntensityRanged", "Orientationd"):
        if needed not in named:
            raise ModelError(f"preprocessing has no {needed}: the input grid of the network is not known")
    for name in ("Spacingd", "ScaleIntensityRanged", "Orientationd"):
        if sum(step.name == name for step in steps) > 1:
            raise ModelError(f"preprocessing has {name} more than once", hint="one is run here; put them together where that is possible")
    scale, axes = named["ScaleIntensityRanged"].kwargs, named["Orientationd"].kwargs.get("axcodes")
    if scale.get("clip") is not True:  # MONAI's default is False
        raise ModelError("ScaleIntensityRanged needs clip = true: values beyond the range are clipped here")
    # Reading, orientation and spacing are disabled by bundles for images that were resampled before; the node's are not.
    require_enabled(named["ScaleIntensityRanged"])
    image = image_key(steps)
    for name in ("Spacingd", "ScaleIntensityRanged", "Orientationd"):
        require_image(named[name], image)
    if axes != "RAS":
        raise ModelError(f"only the orientation RAS is supported, not {axes!r}")
    window = detector_operation(config, "set_sliding_window_inferer") or sliding_window(config)
    if (blend := window.get("mode", "constant")) not in BLENDS:
        raise ModelError(f"a sliding window with mode {blend!r} is not known here: {', '.join(BLENDS)}")
    hu = [number(scale.get("a_min"), "a_min"), number(scale.get("a_max"), "a_max")]
    if hu[0] >= hu[1]:
        raise ModelError(f"ScaleIntensityRanged needs an a_min below a_max, not {hu[0]:g} and {hu[1]:g}")
    return {
        "axes": axes,
        "blend": blend,
        "pixdim_mm": read_spacing(named["Spacingd"]),
        "hu": hu,
        "range": [number(scale.get("b_min"), "b_min"), number(scale.get("b_max"), "b_max")],
        **_read_window(window),
    }


def _read_window(window: Mapping[str, Any]) -> dict[str, Any]:
    """Size and overlap of a sliding window; an empty size where a detector has none."""
    size = window.get("roi_size", [])
    if not isinstance(size, list) or len(size) not in (0, 3):
        raise ModelError(f"the sliding window needs a roi_size of three whole numbers, not {size!r}")
    size = [whole_number(one, "roi_size") for one in size]
    overlap = number(window.get("overlap", 0.25), "overlap")
    if min(size, default=1) < 1 or not 0 <= overlap < 1:
        raise ModelError(f"the sliding window needs a roi_size of at least 1 and an overlap of 0 to below 1, not {size} and {overlap:g}")
    return {"window": size, "overlap": overlap}


def read_thresholds(config: BundleConfig) -> dict[str, float]:
    """The box selection of the bundle, and operating points of this project that were not measured for the bundle."""
    chosen = detector_operation(config, "set_box_selector_parameters")
    found = {name: number(chosen[name], name) for name in BOX_SELECTION if name in chosen}
    least = {"volume_mm3": LEAST_VOLUME_MM3} if segmentation_networks.is_segmentation(config) else {}
    return {"score": OPERATING_SCORE, "review_score": REVIEW_SCORE, "most_findings": MOST_FINDINGS} | least | found


def sliding_window(config: BundleConfig) -> Mapping[str, Any]:
    """The named arguments of the bundle's SlidingWindowInferer; a segmentation needs one, a detector may run on the whole volume."""
    found = config.get("inferer")
    if isinstance(found, BundleCall) and found.name == "SlidingWindowInferer":
        return found.kwargs
    if segmentation_networks.is_segmentation(config):
        raise ModelError("the bundle has no SlidingWindowInferer: the input window of the network is not known")
    return {}


def detector_operation(config: BundleConfig, name: str) -> Mapping[str, Any]:
    """The named arguments of the call ``name`` in ``detector_ops``; empty where there is none."""
    for item in config.get("detector_ops") or []:
        if isinstance(item, BundleCall) and item.name == name:
            return item.kwargs
    return {}
