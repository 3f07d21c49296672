"""Creates MONAI classifier bundles in the layout of the Model Zoo, trained for a moment on generated images or volumes."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from models import runtime
from models.bundle.classifier import networks
from models.bundle.config_reader import BundleConfig
from models.bundle.convert import convert
from models.protocol import Model
from models.torch_threads import cpu_threads
from tests.support.monai_bundles import METADATA, START, write_bundle
from tests.support.series import image

SIDE = {2: (64, 64), 3: (32, 32, 16)}  # of the network's input, by dimensions
RESNET = {"_target_": "resnet10", "spatial_dims": 2, "n_input_channels": 3, "num_classes": 2, "widen_factor": 0.125, "conv1_t_size": 3}
GREY = {**RESNET, "n_input_channels": 1}
ABOUT = """
name = "bright_discs"
version = "1.0.0"
licence = "Apache-2.0"
not_for = "Not for diagnosis: it was trained on drawings."
looked_for = "A bright disc on a dark ground."
temperature = 1.0
[[labels]]
name = "disc"
code = { value = "27925004", scheme = "SCT", meaning = "Nodule" }
malignant = true
advice = "A disc was recognised."
[[labels]]
name = "nothing"
code = { value = "17621005", scheme = "SCT", meaning = "Normal" }
malignant = false
finding = false
advice = "Nothing was recognised."
"""


def drawing(disc: bool, seed: int, size: tuple[int, ...] = (60, 80), at: float | None = None) -> NDArray[np.uint8]:
    """Noise of ``size`` (Y, X) or (Z, Y, X), uint8, with or without a bright ball.

    ``at``: the centre as a share of every side; None: anywhere, by ``seed``.
    """
    rng = np.random.default_rng(seed)
    values = rng.normal(60, rng.uniform(3, 15), size)
    if disc:
        centre = [n * (rng.uniform(0.3, 0.7) if at is None else at) for n in size]
        distance = sum((axis - c) ** 2 for axis, c in zip(np.ogrid[tuple(slice(n) for n in size)], centre, strict=True))
        values[np.asarray(distance) < (min(size) / 4) ** 2] += 130
    return np.clip(values, 0, 255).astype(np.uint8)


def radiograph(disc: bool, seed: int) -> FileDataset:
    """A drawing as Digital X-Ray Image for presentation: 12 bits, MONOCHROME1, with a window."""
    shown = drawing(disc, seed, (90, 120)).astype(np.uint16)
    values = 3000 - shown * 4  # 1980 to 3000, low values are bright
    unset = dict.fromkeys(("RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel", "SliceThickness", "PixelSpacing"))
    return image(
        study=8200 + seed, sop_class="1.2.840.10008.5.1.4.1.1.1.1", Modality="DX", PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE", Rows=90, Columns=120, BitsStored=12, HighBit=11, PixelRepresentation=0, WindowCenter=2490.5,
        WindowWidth=1021, PixelData=values.tobytes(), ImageType=["DERIVED", "PRIMARY"], **unset,
    )  # fmt: skip


def inference(network: dict[str, Any] = RESNET, activation: str = "softmax", dims: int = 2) -> dict[str, Any]:
    """configs/inference.json as the Model Zoo's classification bundles write it."""
    spatial = [
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.0], "mode": "bilinear"},
    ]
    grey_range = {"a_min": 0, "a_max": 255} if dims == 2 else {"a_min": -200, "a_max": 200}
    return {
        **START,
        "network_def": network,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "image_only": True},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                *(spatial if dims == 3 else []),
                {"_target_": "ScaleIntensityRanged", "keys": "image", **grey_range, "b_min": 0, "b_max": 1, "clip": True},
                {"_target_": "Resized", "keys": "image", "spatial_size": list(SIDE[dims])},
                {"_target_": "NormalizeIntensityd", "keys": "image", "subtrahend": 0.3, "divisor": 0.25},
                {"_target_": "CastToTyped", "keys": "image", "dtype": "$torch.float32"},
            ],
        },
        "postprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "keys": "pred", activation: True}]},
        "evaluating": ["$@evaluator.run()"],
    }


def inference_of_frames(network: dict[str, Any]) -> dict[str, Any]:
    """As `inference`, for a network in 3D that takes the frames of a series of 8 bits as one block."""
    config = inference(network, dims=3)
    eight_bits = {"a_min": 0, "a_max": 255}
    config["preprocessing"]["transforms"] = [
        {**step, **(eight_bits if step["_target_"] == "ScaleIntensityRanged" else {})}
        for step in config["preprocessing"]["transforms"]
        if step["_target_"] not in ("Orientationd", "Spacingd")
    ]
    return config


def about_modality(modality: str, **tables: dict[str, Any]) -> str:
    """`ABOUT` for series of a modality, with further tables of numbers."""
    lines = [f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in table.items()) for name, table in tables.items()]
    return "".join([ABOUT, f'[input]\nmodality = "{modality}"\n', *lines])


def make_classifier(folder: Path, config: dict[str, Any], about: str = ABOUT, steps: int = 0) -> Path:
    """Write the bundle to ``folder``, and about.toml beside it; return ``folder``. ``steps``: of training on drawings."""
    weights = {"model": _trained(json.dumps(config), steps)}
    return write_bundle(folder, config, weights, about=about, metadata=METADATA | {"task": "drawings"})


def load_classifier(folder: Path, config: dict[str, Any], about: str = ABOUT, steps: int = 0) -> Model:
    """Write a bundle into ``folder`` as `make_classifier` does, import it, and load it."""
    bundle = make_classifier(folder / "bundle", config, about, steps)
    convert(bundle, folder / "about.toml", folder / "made")
    return runtime.load_folder(folder / "made", device="cpu", package="bundle")


@cache
def _trained(config: str, steps: int) -> dict[str, torch.Tensor]:
    """The weights of a bundle; trained once in a process of tests."""
    torch.manual_seed(3)
    values = json.loads(config)
    net = networks.build(networks.describe_network(BundleConfig(values, "configs/inference.json")))
    if steps:
        _fit(net, steps, values)
    return net.state_dict()


def _fit(net: torch.nn.Module, steps: int, config: dict[str, Any]) -> None:
    (size,) = [tuple(step["spatial_size"]) for step in config["preprocessing"]["transforms"] if step["_target_"] == "Resized"]
    channels = config["network_def"].get("n_input_channels") or config["network_def"]["in_channels"]
    batches = _batches(channels, size[::-1])
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    with cpu_threads(1):  # threads of a small network wait for each other on a busy machine
        for _ in range(steps):
            images, labels = next(batches)
            optimiser.zero_grad()
            output = net(images)
            torch.nn.functional.cross_entropy(output[0] if isinstance(output, tuple) else output, labels).backward()
            optimiser.step()


def _batches(channels: int, size: tuple[int, ...]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of eight normalised drawings of ``size`` (Y, X) or (Z, Y, X), of every brightness; class 0 has a disc."""
    seed, dims = 0, len(size)
    while True:
        made = [drawing(index % 2 == 0, seed + index, size) for index in range(8)]
        seed += 8
        values = torch.from_numpy(np.stack(made)).float().div(255).sub(0.3).div(0.25)
        order = (0, 2, 1) if dims == 2 else (0, 3, 2, 1)
        yield values.permute(order)[:, None].repeat(1, channels, *([1] * dims)), torch.arange(8) % 2
