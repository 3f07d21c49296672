"""Reads the pre-processing of an imported classifier as plain steps for a card, and runs them with MONAI's own transforms."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from core.errors import ModelError
from models.bundle.allow_list import (
    FIX,
    check_arguments,
    image_key,
    read_pipeline,
    read_spacing,
    require_enabled,
    require_image,
    whole_number,
)
from models.bundle.config_reader import BundleCall, BundleConfig

# Dictionary transforms of MONAI with the arguments that are allowed; the array transform of the same name is run.
STEPS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "ScaleIntensityd": {"minv": (int, float), "maxv": (int, float), "factor": (int, float), "channel_wise": (bool,)},
    "ScaleIntensityRanged": {**dict.fromkeys(("a_min", "a_max", "b_min", "b_max"), (int, float)), "clip": (bool,)},
    "ScaleIntensityRangePercentilesd": {
        **dict.fromkeys(("lower", "upper", "b_min", "b_max"), (int, float)),
        **dict.fromkeys(("clip", "relative", "channel_wise"), (bool,)),
    },
    "NormalizeIntensityd": {
        **dict.fromkeys(("subtrahend", "divisor"), (int, float, list)),
        **dict.fromkeys(("nonzero", "channel_wise"), (bool,)),
    },
    "Resized": {"spatial_size": (int, list), "size_mode": (str,), "mode": (str,), "align_corners": (bool,), "anti_aliasing": (bool,)},
    "CenterSpatialCropd": {"roi_size": (int, list)},
    "CenterScaleCropd": {"roi_scale": (int, float, list)},
    "SpatialPadd": {"spatial_size": (int, list), "method": (str,), "mode": (str,)},
    "ResizeWithPadOrCropd": {"spatial_size": (int, list), "method": (str,), "mode": (str,)},
    "DivisiblePadd": {"k": (int, list), "method": (str,), "mode": (str,)},
    "Flipd": {"spatial_axis": (int, list)},
    "Rotate90d": {"k": (int,), "spatial_axes": (list,)},
    "RepeatChanneld": {"repeats": (int,)},
}
# What the node does itself when it reads the images, with the arguments that change nothing of it.
READING = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "CastToTyped", "ToTensord")
SPATIAL = ("Orientationd", "Spacingd")
SIGNED = ("int", "long", "short")  # of CT: its values are below 0, too
WHOLE_NUMBERS = (*SIGNED, "uint")
# Readers of LoadImaged that give (columns, rows), as the node does. NumpyReader and WSIReader give (rows, columns).
READERS = ("PILReader", "ITKReader", "PydicomReader", "NibabelReader")
EIGHT_BITS = 255.0  # the highest value that a network of single images or frames is shown
LEAST_HIGH = 2.0  # a range that ends below is that of images of floats, of which 8 bits would be white
NO_MEANING = ("keys", "allow_missing_keys", "image_only", "ensure_channel_first", "data_type", "track_meta", "device", "dtype")
NO_MEANING_IN_READING = (*NO_MEANING, "reader", "channel_dim")


def read_preprocessing(config: BundleConfig, dims: int, modality: str = "") -> dict[str, Any]:
    """The steps in their order; of a network for volumes also the grid (``axes``, ``pixdim_mm``).

    ``modality``: of the card's input. The frames of OCT and ultrasound have no orientation that a network would need.

    Raises
    ------
    ModelError
        A transform or an argument that is not on the allow list, because leaving it out would change results.
    """
    calls = read_pipeline(config, "preprocessing")
    unknown = sorted({call.name for call in calls} - {*STEPS, *READING, *(() if dims == 2 else ("Spacingd",) if modality else SPATIAL)})
    if unknown:
        raise ModelError(f"preprocessing has transforms that are not known here: {', '.join(unknown)}", hint=f"known: {', '.join(STEPS)}")
    steps: list[dict[str, Any]] = []
    image = image_key(calls)
    exact: tuple[str, ...] = SIGNED if dims == 3 and not modality else WHOLE_NUMBERS
    for call in calls:
        if call.name in READING:
            _check_reading(call, exact)
        else:
            require_image(call, image)
            exact = ()
        if call.name in STEPS:
            require_enabled(call)
            _check_conversion(call, exact)
            given = {key: value for key, value in call.kwargs.items() if key not in NO_MEANING}
            plain = BundleCall(call.target, call.args, given)
            check_arguments(plain, STEPS[call.name])
            steps.append({"transform": call.name.removesuffix("d"), **given})
    if dims == 2 or modality:
        _check_eight_bits(steps)
    table: dict[str, Any] = {"steps": steps}
    return table | _read_grid(calls, modality) if dims == 3 else table


def _check_reading(call: BundleCall, exact: tuple[str, ...]) -> None:
    """Check that a transform reads the image as the node does.

    ``exact``: the kinds of whole numbers to which a conversion changes nothing, because the values are still those of the file.
    """
    if more := sorted(set(call.kwargs) - set(NO_MEANING_IN_READING)):
        raise ModelError(f"{call.name}'s argument {more[0]} is not on the allow list")
    reader = call.kwargs.get("reader")
    name = reader.name if isinstance(reader, BundleCall) and not reader.kwargs else reader
    if name is not None and name not in READERS:
        raise ModelError(f"{call.name} with the reader {name!r} is not supported", hint=f"known: {', '.join(READERS)}")
    _check_conversion(call, exact)


def _check_conversion(call: BundleCall, exact: tuple[str, ...]) -> None:
    dtype = str(call.kwargs.get("dtype") or "").rpartition(".")[2]
    if dtype.startswith((*WHOLE_NUMBERS, "bool")) and not dtype.startswith(exact):
        raise ModelError(f"{call.name} converts the image to {dtype}, which changes its values", hint="convert it to float32")


def _check_eight_bits(steps: Sequence[Mapping[str, Any]]) -> None:
    """Check that the first step on intensities is for images of 8 bits, which are what networks of single images and frames are shown."""
    first = next((step for step in steps if "Intensity" in step["transform"]), {"transform": ""})
    low, high = 0.0, EIGHT_BITS
    if first["transform"] == "ScaleIntensityRange":
        low, high = float(first.get("a_min", low)), float(first.get("a_max", high))
    elif first["transform"] == "NormalizeIntensity":
        try:
            high = max(LEAST_HIGH, float(np.max(np.asarray(first.get("subtrahend", 0.0), np.float32))))
        except (ValueError, TypeError) as error:
            raise ModelError("NormalizeIntensityd's subtrahend is a number, or a list of numbers", hint=FIX) from error
    if low < 0 or not LEAST_HIGH <= high <= EIGHT_BITS:
        raise ModelError(
            f"{first['transform']}d is for values from {low:g} to {high:g}, and the node shows the network images of 8 bits (0 to 255)",
            hint="train it on what the window of the header shows, as images of 8 bits: docs/models/your-own.md",
        )


def image_channels(steps: Sequence[Mapping[str, Any]], channels: int) -> int:
    """The number of channels of an image of which RepeatChannel makes those of the network: 1 (grey) or 3 (RGB). Raises ModelError."""
    repeats = [whole_number(step.get("repeats"), "RepeatChanneld's repeats") for step in steps if step["transform"] == "RepeatChannel"]
    found = next((one for one in (1, 3) if one * prod(repeats) == channels), None)
    if found is None:
        raise ModelError(f"RepeatChanneld makes no {channels} channels, which the network has, of 1 or 3", hint=FIX)
    return found


def _read_grid(calls: Sequence[BundleCall], modality: str) -> dict[str, Any]:
    """Orientation and voxel size of a network for volumes; without Spacingd the voxels stay as they are."""
    names = [call.name for call in calls]
    axes = "frames" if modality else next((call.kwargs.get("axcodes") for call in calls if call.name == "Orientationd"), None)
    if axes not in ("RAS", "frames"):
        raise ModelError(f"a network for volumes needs Orientationd with axcodes RAS, not {axes!r}")
    if any(name in STEPS for name in names[: max((names.index(name) for name in names if name in SPATIAL), default=0)]):
        raise ModelError("Orientationd and Spacingd must come before the other transforms")
    for name in SPATIAL:
        if names.count(name) > 1:
            raise ModelError(f"preprocessing has {name} more than once", hint="one is run here; put them together where that is possible")
    resampling = next((call for call in calls if call.name == "Spacingd"), None)
    return {"axes": axes, "pixdim_mm": [] if resampling is None else read_spacing(resampling)}


def compose(steps: Sequence[Mapping[str, Any]]) -> Any:
    """MONAI's ``Compose`` of the card's steps, for arrays of (C, X, Y) or (C, X, Y, Z)."""
    from monai import transforms
    from monai.transforms.compose import Compose

    made = []
    for step in steps:
        name = str(step["transform"])
        arguments = {key: np.asarray(value, np.float32) if key in ("subtrahend", "divisor") else value for key, value in step.items()}
        del arguments["transform"]
        if f"{name}d" not in STEPS:
            raise ModelError(f"the transform {name!r} is not on the allow list", hint="import the bundle again")
        made.append(getattr(transforms, name)(**arguments))
    return Compose(made)
