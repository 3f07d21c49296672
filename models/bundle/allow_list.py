"""Checks values of a bundle's configuration against what is allowed; nothing of a bundle is called."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import ModelError
from models.bundle.config_reader import BundleCall, BundleConfig

FIX = "correct configs/inference.json"
COMPOSE = ("Compose", "monai.transforms.Compose", "monai.transforms.compose.Compose")
# Arguments of Spacingd with which its grid is another one, and the values with which it is not.
OTHER_GRIDS: Mapping[str, Any] = {"diagonal": False, "scale_extent": False, "min_pixdim": None, "max_pixdim": None}


def require_call(value: Any, targets: Sequence[str], what: str) -> BundleCall:
    """``value``, if it is a call of one of ``targets``. Raises ModelError."""
    if isinstance(value, BundleCall) and value.target in targets:
        return value
    found = value.target if isinstance(value, BundleCall) else type(value).__name__
    raise ModelError(f"{what} is {found}, which is not on the allow list: {', '.join(sorted({t.rpartition('.')[2] for t in targets}))}")


def read_pipeline(config: BundleConfig, key: str) -> list[BundleCall]:
    """The transforms of a Compose, in their order. Raises ModelError where it is none, or would not run all of them one after another."""
    pipeline = config.require(key)
    calls = pipeline.kwargs.get("transforms", []) if isinstance(pipeline, BundleCall) and pipeline.target in COMPOSE else []
    if not isinstance(calls, list) or not calls or not all(isinstance(call, BundleCall) for call in calls):
        raise ModelError(f"{key} is no Compose of transforms", hint="the layout of MONAI's Model Zoo is expected")
    if pipeline.kwargs.get("lazy"):
        raise ModelError(f"{key} with lazy = {pipeline.kwargs['lazy']!r} is not supported: it resamples otherwise", hint="leave it out")
    require_enabled(pipeline)
    return calls


def whole_number(value: Any, what: str) -> int:
    """``value``, if it is a whole number. Raises ModelError."""
    if type(value) is not int:
        raise ModelError(f"{what} is a whole number, not {value!r}", hint=FIX)
    return value


def number(value: Any, what: str) -> float:
    """``value`` as a float, if it is a finite number. Raises ModelError."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ModelError(f"{what} is a number, not {value!r}", hint=FIX)
    return float(value)


def check_arguments(call: BundleCall, known: Mapping[str, tuple[type, ...]]) -> None:
    """Check that a call has arguments of ``known`` names and types only. Raises ModelError."""
    if call.args:
        raise ModelError(f"{call.name} has arguments without names", hint="write them as name = value")
    for key, value in call.kwargs.items():
        if key not in known or not isinstance(value, known[key]) or not is_plain(value) or (type(value) is bool and bool not in known[key]):
            raise ModelError(f"{call.name}'s argument {key} is not on the allow list as {value!r}: {', '.join(known)}")


def require_enabled(call: BundleCall) -> None:
    """Check that a call is always made. Raises ModelError."""
    if call.may_be_disabled:
        raise ModelError(f"{call.name} is disabled in some cases (_disabled_)", hint="take it out, or leave out _disabled_")


def read_spacing(call: BundleCall) -> list[float]:
    """The voxel size (x, y, z) of a Spacingd in mm. Raises ModelError where images would be resampled otherwise than here."""
    mode = call.kwargs.get("mode", "bilinear")
    if mode not in ("bilinear", ["bilinear"]):
        raise ModelError(f"{call.name} with mode {mode!r} is not supported: images are resampled with bilinear interpolation")
    for key, unchanged in OTHER_GRIDS.items():
        if call.kwargs.get(key, unchanged) != unchanged:
            raise ModelError(f"{call.name} with {key} = {call.kwargs[key]!r} is not supported: it changes the grid", hint="leave it out")
    found = call.kwargs.get("pixdim")
    if not isinstance(found, list) or len(found) != 3:
        raise ModelError(f"{call.name} needs a pixdim of three numbers, not {found!r}", hint=FIX)
    pixdim = [number(one, "pixdim") for one in found]
    if min(pixdim) <= 0:
        raise ModelError(
            f"{call.name} needs a pixdim above 0 in each direction, not {found!r}", hint="write the voxel size of the training"
        )
    return pixdim


def require_image(call: BundleCall, image: str) -> None:
    """Check that a transform is for the image, whose key LoadImaged has. Raises ModelError."""
    keys = keys_of(call)
    if image and keys and image not in keys:
        raise ModelError(f"{call.name} is for {', '.join(keys)}, and the image is {image}", hint="take it out of preprocessing")


def keys_of(call: BundleCall) -> list[str]:
    """The keys of a dictionary transform."""
    keys = call.kwargs.get("keys", [])
    return [keys] if isinstance(keys, str) else [str(key) for key in keys] if isinstance(keys, list) else []


def image_key(calls: Sequence[BundleCall]) -> str:
    """The key under which LoadImaged reads the image; "" where it is not stated."""
    keys = next((keys_of(call) for call in calls if call.name == "LoadImaged"), [])
    return keys[0] if keys else ""


def is_plain(value: Any) -> bool:
    """Whether a value consists of numbers, texts, and lists and tables of fewer than 20 entries."""
    if isinstance(value, Mapping):
        return len(value) < 20 and all(isinstance(key, str) and is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return len(value) < 20 and all(map(is_plain, value))
    return isinstance(value, str | int | bool) or (isinstance(value, float) and math.isfinite(value))
