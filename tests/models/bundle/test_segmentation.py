"""MONAI segmentation bundles (UNet, SegResNet): regions on the series' own voxels, unknown networks are refused."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from monai.inferers.utils import sliding_window_inference

from core.concepts import codes
from core.errors import ModelError
from core.states import Outcome, Tier
from imaging import masks
from imaging.volume.volume import Volume
from models import installed, runtime
from models.bundle import segmentation, segmentation_networks
from models.bundle.config_reader import BundleConfig
from models.bundle.convert import convert
from models.card import read_card
from models.card_writer import render_card
from tests.support.monai_bundles import ABOUT, METADATA, START, write_bundle

UNET = {
    "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2],
    "num_res_units": 1, "norm": "batch",
}  # fmt: skip
SEGRESNET = {
    "_target_": "monai.networks.nets.SegResNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 1, "init_filters": 4,
    "blocks_down": [1, 1], "blocks_up": [1], "norm": ["GROUP", {"num_groups": 2}],
}  # fmt: skip


def inference(network: dict[str, Any] = UNET, activation: str = "softmax") -> dict[str, Any]:
    """configs/inference.json as the Model Zoo's segmentation bundles write it."""
    return {
        **START,
        "network_def": network,
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image"},
                {"_target_": "EnsureChannelFirstd", "keys": "image"},
                {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 4.0], "mode": "bilinear"},
                {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True},
                {"_target_": "EnsureTyped", "keys": "image"},
            ],
        },
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 16], "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", activation: True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing"},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            ],
        },
        "evaluating": ["$@evaluator.run()"],
    }


def with_step(index: int, **change: Any) -> dict[str, Any]:
    """Pre-processing of which one step is changed."""
    table = inference()["preprocessing"]
    table["transforms"][index] |= change
    return {"preprocessing": table}


def make(folder: Path, config: dict[str, Any]) -> Path:
    """The bundle's folder, random weights in it; about.toml beside it."""
    torch.manual_seed(5)
    net = segmentation_networks.build(segmentation_networks.describe_network(BundleConfig(config, "configs/inference.json")))
    return write_bundle(folder, config, {"state_dict": net.state_dict()}, about=ABOUT, metadata=METADATA)


def volume(direction: tuple[float, float, float]) -> Volume:
    """Grey with a bright box of 8 x 16 x 13 mm around (z, y, x) = (9.5, 20, 60) in spacings of 2, 1.5 and 1 mm."""
    hu = np.full((24, 80, 96), -50, np.int16)
    hu[8:12, 15:26, 54:67] = 150
    spacing = (2.0, 1.5, 1.0)
    affine = np.diag([*(d * s for d, s in zip(direction, reversed(spacing), strict=True)), 1.0])
    return Volume(hu, affine, spacing, tuple(f"1.2.{i}" for i in range(24)), (1,) * 24, "1.2", ())


class Bright(torch.nn.Module):
    """Says what is bright; in place of a trained network."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(values), (values - 0.5) * 20], 1)


@pytest.mark.parametrize(("network", "activation"), [(UNET, "softmax"), (SEGRESNET, "sigmoid")])
def test_a_bundle_is_converted_installed_and_predicts(network: dict[str, Any], activation: str, tmp_path: Path) -> None:
    bundle, out = make(tmp_path / "zoo" / "bundle", inference(network, activation)), tmp_path / "made"
    convert(bundle, bundle.parent / "about.toml", out)
    card = read_card(out / "card.toml")
    assert card.status == "research"
    assert card.network["activation"] == activation
    assert card.preprocessing["window"] == [32, 32, 16]
    assert card.preprocessing["pixdim_mm"] == [2.0, 2.0, 4.0]
    place = installed.install_version(out, tmp_path / "models")
    answers = [runtime.load_folder(place.folder, device="cpu", package=place.package).predict([volume((1, 1, 1))]) for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(answers[0][0].findings) <= 3


@pytest.mark.parametrize("direction", [(1.0, 1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, -1.0, 1.0)])
def test_a_region_keeps_its_place_size_and_shape(direction: tuple[float, float, float], tmp_path: Path) -> None:
    bundle, out = make(tmp_path / "zoo" / "bundle", inference()), tmp_path / "made"
    convert(bundle, bundle.parent / "about.toml", out)
    model = runtime.load_folder(out, device="cpu", package="bundle")
    assert isinstance(model, segmentation.BundleSegmenter)
    model._net = Bright()
    series = volume(direction)
    (said,) = model.predict([series])
    assert said.outcome is Outcome.FINDINGS
    (found,) = said.findings
    assert found.position_mm == pytest.approx(series.lps(9.5, 20.0, 60.0), abs=1.5)
    assert found.mask is not None
    mask = masks.expand_mask(found.mask, series.hu.shape)
    bright = series.hu == 150
    assert 2 * (mask & bright).sum() / (mask.sum() + bright.sum()) > 0.75
    volume_mm3 = next(m.value for m in found.measurements if m.unit == codes.CUBIC_MILLIMETER)
    assert volume_mm3 == pytest.approx(mask.sum() * 3.0, abs=1)
    assert found.probability is None
    assert found.tier is not Tier.HIGH
    (nothing,) = model.predict([Volume(np.full_like(series.hu, -50), *(getattr(series, name) for name in Volume.__slots__[1:]))])
    assert nothing.outcome is Outcome.NO_FINDING


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"network_def": {**UNET, "_target_": "os.system"}}, "allow list"),
        ({"network_def": {**UNET, "out_channels": "$__import__('os').getpid()"}}, "expressions are not run"),
        ({"network_def": {**UNET, "spatial_dims": 2}}, "3 spatial_dims"),
        ({"network_def": {**UNET, "num_res_units": True}}, "allow list"),
        ({"network_def": {**UNET, "hook": "x"}}, "hook is not on the allow list"),
        ({"inferer": {"_target_": "SimpleInferer"}}, "no SlidingWindowInferer"),
        ({"postprocessing": {"_target_": "Compose", "transforms": []}}, "no Activationsd"),
        ({"inferer": {**inference()["inferer"], "mode": "linear"}}, "a sliding window with mode 'linear' is not known"),
        (with_step(3, mode="nearest"), "Spacingd with mode 'nearest' is not supported"),
        (with_step(3, pixdim=[2.0, 2.0, -1]), "above 0 in each direction"),
        (with_step(3, keys="label"), "Spacingd is for label, and the image is image"),
        (with_step(4, a_min=300), "an a_min below a_max"),
        (with_step(4, a_min=float("nan")), "a_min is a number, not nan"),
        ({"inferer": {**inference()["inferer"], "roi_size": [32, 32, -1]}}, "a roi_size of at least 1"),
        ({"inferer": {**inference()["inferer"], "roi_size": [32, 32]}}, "a roi_size of three whole numbers"),
        ({"inferer": {**inference()["inferer"], "overlap": 1.0}}, "an overlap of 0 to below 1"),
        (with_step(4, clip=False), "ScaleIntensityRanged needs clip = true"),
        (with_step(4, _disabled_=True), "ScaleIntensityRanged is disabled in some cases"),
        (with_step(5, _target_="ScaleIntensityRanged", a_min=0, a_max=1, b_min=-1, b_max=1, clip=True), "more than once"),
    ],
)
def test_unknown_networks_and_arguments_are_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    (bundle / "configs" / "inference.json").write_text(json.dumps({**inference(), **change}))
    with pytest.raises(ModelError, match=says):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")


def test_authors_that_would_make_result_objects_invalid_are_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    metadata = bundle / "configs" / "metadata.json"
    metadata.write_text(json.dumps({**json.loads(metadata.read_text()), "authors": "CLINIC\\group"}))
    with pytest.raises(ModelError, match="manufacturer is one line of text without backslash") as caught:
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    assert "state manufacturer in the file that describes it" in str(caught.value)
    assert not (tmp_path / "made" / "card.toml").exists()


def test_an_output_that_is_no_number_is_an_error_and_not_a_result_without_finding(tmp_path: Path) -> None:
    bundle, out = make(tmp_path / "zoo" / "bundle", inference()), tmp_path / "made"
    convert(bundle, bundle.parent / "about.toml", out)
    model = runtime.load_folder(out, device="cpu", package="bundle")
    assert isinstance(model, segmentation.BundleSegmenter)
    with torch.no_grad():
        next(model._net.parameters()).mul_(float("inf"))
    with pytest.raises(ModelError, match="the network's output holds values that are no numbers"):
        model.predict([volume((1, 1, 1))])


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    path = bundle / "models" / "model.pt"
    tensors = torch.load(path, weights_only=True)["state_dict"]
    name = next(key for key, value in tensors.items() if value.dtype.is_floating_point)
    torch.save({"state_dict": {**tensors, name: tensors[name] * float("nan")}}, path)
    with pytest.raises(ModelError, match=f"the weights hold values that are no numbers, in {name}"):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    assert not (tmp_path / "made" / "card.toml").exists()


def test_weights_beyond_the_range_of_the_network_are_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    path = bundle / "models" / "model.pt"
    tensors = torch.load(path, weights_only=True)["state_dict"]
    name = next(key for key, value in tensors.items() if value.dtype.is_floating_point)
    torch.save({"state_dict": {**tensors, name: torch.full_like(tensors[name], 1e300, dtype=torch.float64)}}, path)
    with pytest.raises(ModelError, match=f"the weights hold values that are no numbers, in {name}"):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")


def test_weights_that_are_no_safetensors_are_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    (bundle / "models" / "model.pt").unlink()
    for header in (b"\xff" * 64, (8).to_bytes(8, "little") + b"not JSON", b""):
        (bundle / "models" / "model.safetensors").write_bytes(header)
        with pytest.raises(ModelError, match=r"model\.safetensors is not a safetensors file"):
            convert(bundle, bundle.parent / "about.toml", tmp_path / "made")


@pytest.mark.parametrize("damage", ["encrypted", "changed"])
def test_an_archive_that_cannot_be_unpacked_is_named(damage: str, tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    path = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", bundle.parent, "bundle"))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (start,) = (info.header_offset for info in archive.infolist() if info.filename.endswith("inference.json"))
    if damage == "changed":
        content[start + 80 : start + 200] = bytes(120)
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)) if damage == "encrypted" else ():
        place = content.find(signature)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(signature, place + 4)
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"packed\.zip is neither a folder nor a zip that can be read"):
        convert(path, bundle.parent / "about.toml", tmp_path / "made")


def test_an_archive_with_two_bundles_is_refused(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference())
    shutil.copytree(bundle, bundle.parent / "older")
    packed = Path(shutil.make_archive(str(tmp_path / "both"), "zip", bundle.parent))
    with pytest.raises(ModelError, match=r"both\.zip holds (configs|models)/\S+ more than once"):
        convert(packed, bundle.parent / "about.toml", tmp_path / "made")


def test_windows_are_blended_as_the_bundle_says(tmp_path: Path) -> None:
    config = inference()
    bundle = make(tmp_path / "zoo" / "bundle", {**config, "inferer": {**config["inferer"], "mode": "gaussian"}})
    convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    model = runtime.load_folder(tmp_path / "made", device="cpu", package="bundle")
    assert isinstance(model, segmentation.BundleSegmenter)
    image = np.random.default_rng(1).random((48, 48, 24), np.float32)
    with torch.inference_mode():
        logits = sliding_window_inference(torch.from_numpy(image)[None, None], (32, 32, 16), 1, model._net, overlap=0.5, mode="gaussian")
    np.testing.assert_allclose(model._probabilities(image), torch.softmax(logits[0], 0)[1:], atol=1e-6)


def test_the_card_must_name_every_class(tmp_path: Path) -> None:
    bundle = make(tmp_path / "zoo" / "bundle", inference({**UNET, "out_channels": 4}))
    with pytest.raises(ModelError, match=r"the network has 3 outputs, and about.toml has 1 \[\[labels\]\]"):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    convert(make(tmp_path / "other" / "bundle", inference()), bundle.parent / "about.toml", tmp_path / "made")
    card = read_card(tmp_path / "made" / "card.toml")
    changed = replace(card, network={**card.network, "out_channels": 4})
    (tmp_path / "made" / "card.toml").write_text(render_card(changed))
    with pytest.raises(ModelError, match="3 classes besides the background, the card 1 labels"):
        runtime.load_folder(tmp_path / "made", device="cpu", package="bundle")


def test_yaml_gives_the_same_card_as_json_and_tags_and_aliases_are_refused(tmp_path: Path) -> None:
    config = inference()
    bundle, plain = make(tmp_path / "zoo" / "bundle", config), tmp_path / "plain"
    convert(bundle, bundle.parent / "about.toml", plain)
    (bundle / "configs" / "inference.json").unlink()
    path = bundle / "configs" / "inference.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    packed = Path(shutil.make_archive(str(tmp_path / "bundle"), "zip", bundle.parent, "bundle"))
    for number, source in enumerate((bundle, packed)):
        convert(source, bundle.parent / "about.toml", tmp_path / f"yaml{number}")
        for name in ("card.toml", "weights.safetensors"):
            assert (tmp_path / f"yaml{number}" / name).read_bytes() == (plain / name).read_bytes()
    for text, says in (
        ("a: &x [1]\nb: [*x, *x]\n", "aliases"),
        ("a: !!python/object/apply:os.getpid []\n", "no plain YAML"),
        ("- 1\n", "holds no table"),
        ("a: [" * 2000, "no plain YAML"),
        ("a: {", "no plain YAML"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=says):
            convert(bundle, bundle.parent / "about.toml", tmp_path / "refused")
