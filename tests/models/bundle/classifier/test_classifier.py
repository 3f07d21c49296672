"""Imported classifiers: the same input as MONAI's own pipeline, right answers on drawings, and evidence at the right place."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai import transforms
from PIL import Image

from core.errors import ModelError
from core.states import Outcome, Tier
from imaging.masks import unpack_heat_map
from imaging.photograph.read import Photograph, read_photograph
from imaging.volume.volume import Volume
from models import installed, runtime
from models.bundle.classifier import networks
from models.bundle.classifier.model import BundleClassifier
from models.bundle.classifier.transforms import read_preprocessing
from models.bundle.config_reader import BundleConfig
from models.bundle.convert import convert
from models.card import read_card
from models.card_writer import render_card
from tests.support.monai_classifiers import ABOUT, GREY, RESNET, drawing, inference, make_classifier

RESNET_3D = {**GREY, "spatial_dims": 3}
SMALL = {
    "DenseNet121": {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "init_features": 8, "growth_rate": 4},
    "SEResNet50": {"spatial_dims": 2, "in_channels": 3, "num_classes": 2, "layers": [1, 1, 1, 1], "inplanes": 16},
    "EfficientNetBN": {"model_name": "efficientnet-b0", "in_channels": 3, "num_classes": 2},
    "ViT": {
        "spatial_dims": 2, "in_channels": 3, "img_size": [64, 64], "patch_size": [16, 16], "hidden_size": 24, "mlp_dim": 48,
        "num_layers": 2, "num_heads": 2, "classification": True, "num_classes": 2,
    },
}  # fmt: skip


def load(bundle: Path, out: Path) -> BundleClassifier:
    convert(bundle, bundle.parent / "about.toml", out)
    model = runtime.load_folder(out, device="cpu", package="bundle")
    assert isinstance(model, BundleClassifier)
    return model


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> BundleClassifier:
    """A network that has learned to tell drawings with a disc from those without."""
    folder = tmp_path_factory.mktemp("zoo")
    return load(make_classifier(folder / "bundle", inference(), steps=40), folder / "made")


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> BundleClassifier:
    """The same in three dimensions."""
    folder = tmp_path_factory.mktemp("zoo3")
    return load(make_classifier(folder / "bundle", inference(RESNET_3D, dims=3), steps=40), folder / "made")


def photograph(disc: bool, seed: int = 7) -> Photograph:
    return Photograph(np.repeat(drawing(disc, seed, at=0.3)[..., None], 3, axis=2), "1.2.3", None, "", "", None, ())


def volume(ball: bool, seed: int = 7) -> Volume:
    """(Z, Y, X) = (24, 40, 48) voxels of 2, 1.5 and 1.5 mm; grey values of the drawing as HU from -200 to 200."""
    hu = (drawing(ball, seed, (24, 40, 48), 0.4).astype(np.float32) * 400 / 255 - 200).astype(np.int16)
    affine = np.diag([1.5, 1.5, 2.0, 1.0])
    return Volume(hu, affine, (2.0, 1.5, 1.5), tuple(f"1.2.{i}" for i in range(24)), (1,) * 24, "1.2", ())


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # MONAI registers every reader that it knows
def test_the_network_sees_what_monai_would_show_it(discs: BundleClassifier, tmp_path: Path) -> None:
    """The whole pipeline of the bundle on a file, by MONAI's dictionary transforms and by the node: every bit is the same."""
    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 255, (50, 90, 3), np.uint8)).save(tmp_path / "image.png")
    expected = by_monai(inference(), tmp_path / "image.png")
    shown = discs._prepare(discs._array(read_photograph(tmp_path / "image.png")))
    assert torch.equal(torch.as_tensor(shown), expected)


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")
def test_a_grey_image_whose_channel_is_repeated_is_shown_as_monai_would(tmp_path: Path) -> None:
    """Grey images and a network with three channels: every job failed, because three channels were repeated."""
    Image.fromarray(drawing(True, 5)).save(tmp_path / "image.png")
    config = inference()
    config["preprocessing"]["transforms"].insert(2, {"_target_": "RepeatChanneld", "keys": "image", "repeats": 3})
    model = load(make_classifier(tmp_path / "zoo" / "bundle", config), tmp_path / "made")
    assert read_card(tmp_path / "made" / "card.toml").grey == "accept"
    item = read_photograph(tmp_path / "image.png", grey=True)
    shown = model._prepare(model._array(item))
    assert shown.shape == (3, 64, 64)
    assert torch.equal(torch.as_tensor(shown), by_monai(config, tmp_path / "image.png"))
    assert model.predict([item])[0].outcome in (Outcome.FINDINGS, Outcome.NO_FINDING, Outcome.ABSTAINED)


def by_monai(config: dict[str, Any], path: Path) -> torch.Tensor:
    """The image of a file after the pre-processing of a bundle, by MONAI's dictionary transforms."""
    made = []
    for step in config["preprocessing"]["transforms"]:
        arguments = {key: value for key, value in step.items() if key != "_target_"}
        made.append(getattr(transforms, step["_target_"])(**arguments | ({"dtype": torch.float32} if "dtype" in step else {})))
    return torch.as_tensor(transforms.Compose(made)({"image": str(path)})["image"])


def test_discs_are_told_from_noise_whatever_else_is_in_the_batch(discs: BundleClassifier) -> None:
    items = [photograph(index % 2 == 0, 100 + index) for index in range(10)]
    answers = discs.predict(items)
    assert [one.outcome for one in answers] == [Outcome.FINDINGS, Outcome.NO_FINDING] * 5
    (finding,) = answers[0].findings
    assert (finding.label, finding.sop_instance_uid, finding.score) == ("disc", "1.2.3", None)
    assert finding.probability == answers[0].probabilities["disc"]
    assert answers[1].notes[0] == "Nothing was recognised."
    assert discs.predict([items[3]]) == [answers[3]]


@pytest.mark.parametrize("seed", [7, 8])
def test_evidence_lies_on_the_disc(discs: BundleClassifier, seed: int) -> None:
    item = photograph(True, seed)
    heat = discs.heat_map(item, discs.predict([item])[0])
    assert heat is not None
    assert heat.shape == (1, 60, 80)
    values = unpack_heat_map(heat)[0]
    assert values[6:30, 12:36].mean() > 2 * values[36:, 50:].mean()
    assert discs.heat_map(item, discs.predict([photograph(False)])[0]) is None


def test_series_are_classified_and_shown_where(balls: BundleClassifier) -> None:
    answers = balls.predict([volume(True), volume(False)])
    assert [one.outcome for one in answers] == [Outcome.FINDINGS, Outcome.NO_FINDING]
    heat = balls.heat_map(volume(True), answers[0])
    assert heat is not None
    values = unpack_heat_map(heat)
    z, y, x = (int(axis.mean()) for axis in np.nonzero(values > 0.5))
    native = [at * step for at, step in zip((z, y, x), heat.step, strict=True)]
    assert native == pytest.approx([9.6, 16, 19.2], abs=9)
    sagittal = Volume(volume(True).hu, np.eye(4)[[1, 2, 0, 3]], (2.0, 1.5, 1.5), volume(True).sop_instance_uids, (1,) * 24, "1.2", ())
    assert balls.predict([sagittal])[0].outcome is Outcome.NOT_ANALYSED


@pytest.mark.parametrize("name", SMALL)
def test_every_family_runs_without_a_download(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", None)
    config = inference({"_target_": f"monai.networks.nets.{name}", **SMALL[name]})
    model = load(make_classifier(tmp_path / "zoo" / "bundle", config, ABOUT.replace("temperature = 1.0", "")), tmp_path / "made")
    model.warm_up()
    (answer,) = model.predict([photograph(True)])
    assert not answer.probabilities, "without a temperature nothing is called a probability"
    assert "not calibrated" in " ".join(answer.notes)
    for finding in answer.findings:
        assert finding.probability is None
        assert finding.tier is not Tier.HIGH
        assert (model.heat_map(photograph(True), answer) is None) == (name == "ViT")


def test_a_network_for_images_of_one_size_is_warmed_with_that_size(tmp_path: Path) -> None:
    config = inference({"_target_": "ViT", **SMALL["ViT"], "img_size": [96, 32]})
    config["preprocessing"]["transforms"] = [step for step in config["preprocessing"]["transforms"] if step["_target_"] != "Resized"]
    model = load(make_classifier(tmp_path / "zoo" / "bundle", config), tmp_path / "made")
    model.warm_up()
    with pytest.raises(RuntimeError):
        model.predict([photograph(True)])


def test_sigmoids_answer_for_every_class_by_itself(tmp_path: Path) -> None:
    config = inference(GREY, "sigmoid")
    about = ABOUT + "[thresholds]\nscore = 0.0\n"
    model = load(make_classifier(tmp_path / "zoo" / "bundle", config, about), tmp_path / "made")
    (answer,) = model.predict([photograph(True)])
    assert [one.label for one in answer.findings] == ["disc"], "the class that is no finding is none here either"
    assert set(answer.probabilities) == {"disc", "nothing"}
    assert sum(answer.probabilities.values()) != pytest.approx(1.0)
    assert read_card(tmp_path / "made" / "card.toml").grey == "accept"


def test_a_class_that_is_not_probable_enough_is_no_answer(tmp_path: Path) -> None:
    model = load(make_classifier(tmp_path / "zoo" / "bundle", inference(), ABOUT + "[thresholds]\nscore = 0.999\n"), tmp_path / "made")
    (answer,) = model.predict([photograph(True)])
    assert answer.outcome is Outcome.ABSTAINED
    assert "undecided" in answer.reason


def compose(step: dict[str, Any]) -> dict[str, Any]:
    """A pre-processing of one step."""
    return {"_target_": "Compose", "transforms": [step]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"network_def": {**RESNET, "_target_": "torchvision.models.resnet18"}}, "allow list"),
        ({"network_def": {**RESNET, "hook": "x"}}, "hook is not on the allow list"),
        ({"network_def": {**RESNET, "n_input_channels": 4}}, "4 n_input_channels"),
        ({"network_def": {**RESNET, "num_classes": 1}}, "softmax over one class"),
        ({"network_def": {"_target_": "ViT", **SMALL["ViT"], "classification": False}}, "classification = true"),
        ({"postprocessing": {"_target_": "Compose", "transforms": []}}, "no Activationsd"),
        ({"preprocessing": compose({"_target_": "Lambdad", "keys": "image"})}, "not known here: Lambdad"),
        ({"preprocessing": compose({"_target_": "Flipd", "keys": "image", "_disabled_": "@training"})}, "Flipd is disabled in some cases"),
        ({"preprocessing": compose({"_target_": "LoadImaged", "reverse_indexing": False})}, "reverse_indexing is not on the allow list"),
        (
            {"preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Resized", "lazy": True}]}},
            "lazy is not on the allow list",
        ),
        ({"preprocessing": compose({"_target_": "LoadImaged", "reader": "NumpyReader"})}, "reader 'NumpyReader' is not supported"),
        (
            {"preprocessing": compose({"_target_": "LoadImaged", "reader": {"_target_": "ITKReader", "reverse_indexing": True}})},
            "reader .*reverse_indexing.* is not supported",
        ),
        ({"preprocessing": compose({"_target_": "Resized", "spatial_size": float("inf")})}, "spatial_size is not on the allow list as inf"),
        ({"preprocessing": compose({"_target_": "SpatialPadd", "spatial_size": [9, 9], "method": "no"})}, "does not fit the code"),
        ({"preprocessing": compose({"_target_": "RepeatChanneld", "repeats": 2})}, "RepeatChanneld makes no 3 channels"),
        ({"preprocessing": {**compose({"_target_": "Flipd"}), "_target_": "OneOf"}}, "preprocessing is no Compose of transforms"),
        ({"preprocessing": {**compose({"_target_": "Flipd"}), "lazy": True}}, "lazy = True is not supported"),
        ({"preprocessing": compose({"_target_": "ScaleIntensityd", "dtype": "$np.uint8"})}, "ScaleIntensityd converts the image to uint8"),
    ],
)
def test_what_is_not_on_the_allow_lists_is_refused(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    bundle = make_classifier(tmp_path / "zoo" / "bundle", inference())
    (bundle / "configs" / "inference.json").write_text(json.dumps({**inference(), **change}))
    with pytest.raises(ModelError, match=says):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")


def steps_of(*steps: dict[str, Any], dims: int = 2, modality: str = "") -> list[str]:
    """The names of the steps that are read of a pre-processing."""
    config = {"preprocessing": {"_target_": "Compose", "transforms": list(steps)}}
    table = read_preprocessing(BundleConfig(config, "configs/inference.json"), dims, modality)
    return [step["transform"] for step in table["steps"]]


LOAD = {"_target_": "LoadImaged", "keys": "image"}
SCALE = {"_target_": "ScaleIntensityd", "keys": ["image"]}


def test_whole_numbers_change_nothing_only_before_the_first_step() -> None:
    for kind in ("$np.uint8", "$torch.int64", "float32"):
        cast = {"_target_": "CastToTyped", "keys": "image", "dtype": kind}
        assert steps_of(LOAD, cast, SCALE) == ["ScaleIntensity"]
        if kind != "float32":
            with pytest.raises(ModelError, match=r"CastToTyped converts the image to u?int"):
                steps_of(LOAD, SCALE, cast)
    ct = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
    assert steps_of({**LOAD, "dtype": "$np.int64"}, ct, dims=3) == []
    with pytest.raises(ModelError, match="LoadImaged converts the image to uint8, which changes its values"):
        steps_of({**LOAD, "dtype": "$np.uint8"}, ct, dims=3)
    assert steps_of({**LOAD, "dtype": "$np.uint8"}, dims=3, modality="OPT") == []


def test_a_transform_of_something_else_is_not_run_on_the_image() -> None:
    assert steps_of(LOAD, {"_target_": "Flipd", "keys": ["image", "label"], "spatial_axis": 0}) == ["Flip"]
    with pytest.raises(ModelError, match="Flipd is for label, and the image is image"):
        steps_of(LOAD, {"_target_": "Flipd", "keys": "label", "spatial_axis": 0})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pixdim": [2.0, 2.0, -1]}, "above 0 in each direction"),
        ({"pixdim": [2.0, 2.0]}, "a pixdim of three numbers"),
        ({"pixdim": 2.0}, "a pixdim of three numbers"),
        ({"pixdim": [2.0, 2.0, float("nan")]}, "pixdim is a number, not nan"),
        ({"scale_extent": True}, "scale_extent = True is not supported"),
        ({"min_pixdim": [1, 1, 1]}, "min_pixdim"),
    ],
)
def test_a_voxel_size_that_the_node_would_not_keep_is_refused(change: dict[str, Any], says: str) -> None:
    axes = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
    spacing = {"_target_": "Spacingd", "keys": "image", "pixdim": [2.0, 2.0, 2.0]}
    assert steps_of(LOAD, axes, spacing, dims=3) == []
    with pytest.raises(ModelError, match=says):
        steps_of(LOAD, axes, {**spacing, **change}, dims=3)
    with pytest.raises(ModelError, match="preprocessing has Spacingd more than once"):
        steps_of(LOAD, axes, spacing, {**spacing, "pixdim": [1.0, 1.0, 1.0]}, dims=3)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        ({"_target_": "ScaleIntensityRanged", "a_min": 0, "a_max": 4095, "b_min": 0, "b_max": 1}, "for values from 0 to 4095"),
        ({"_target_": "ScaleIntensityRanged", "a_min": 0, "a_max": 1, "b_min": -1, "b_max": 1}, "for values from 0 to 1,"),
        ({"_target_": "ScaleIntensityRanged", "a_min": -1024, "a_max": 200, "b_min": 0, "b_max": 1}, "for values from -1024 to 200"),
        ({"_target_": "NormalizeIntensityd", "subtrahend": [2048, 2048], "divisor": [500, 500]}, "for values from 0 to 2048"),
        ({"_target_": "NormalizeIntensityd", "subtrahend": ["a"]}, "subtrahend is a number, or a list of numbers"),
    ],
)
def test_steps_for_other_values_than_those_of_eight_bits_are_refused(step: dict[str, Any], says: str) -> None:
    """A network that was trained on the 12 bits of radiographs answered for images that were all but black."""
    for modality in ("", "US"):
        with pytest.raises(ModelError, match=says):
            steps_of(LOAD, step, modality=modality)
        assert steps_of(LOAD, SCALE, step, modality=modality)[0] == "ScaleIntensity"
    ct = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
    assert len(steps_of(LOAD, ct, step, dims=3)) == 1


def test_a_network_that_cannot_take_what_its_preprocessing_makes_is_refused(tmp_path: Path) -> None:
    config = inference({"_target_": "ViT", **SMALL["ViT"], "img_size": [96, 96]})
    bundle = make_classifier(tmp_path / "zoo" / "bundle", config)
    with pytest.raises(ModelError, match="the network cannot be run on what preprocessing makes of an image"):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "made")


def test_an_imported_classifier_is_installed_and_its_card_must_name_every_class(tmp_path: Path) -> None:
    bundle = make_classifier(tmp_path / "zoo" / "bundle", inference())
    convert(bundle, bundle.parent / "about.toml", tmp_path / "made")
    place = installed.install_version(tmp_path / "made", tmp_path / "models")
    assert (place.package, place.card.task, place.card.unit) == ("bundle", "classify", "image")
    one_label = ABOUT[: ABOUT.rindex("[[labels]]")]
    (bundle.parent / "about.toml").write_text(one_label)
    with pytest.raises(ModelError, match="the network has 2 outputs, and about"):
        convert(bundle, bundle.parent / "about.toml", tmp_path / "one")
    card = read_card(tmp_path / "made" / "card.toml")
    (tmp_path / "made" / "card.toml").write_text(render_card(replace(card, labels=card.labels[:1])))
    with pytest.raises(ModelError, match="2 classes, the card 1 labels"):
        runtime.load_folder(tmp_path / "made", device="cpu", package="bundle")


def test_every_kind_belongs_to_a_family() -> None:
    assert {networks.family_of(kind).module for kind in installed.CLASSIFIER_KINDS} == {
        "densenet", "resnet", "senet", "efficientnet", "vit",
    }  # fmt: skip


def test_a_volume_that_the_node_would_resample_otherwise_is_refused() -> None:
    config = inference(RESNET_3D, dims=3)
    next(step for step in config["preprocessing"]["transforms"] if step["_target_"] == "Spacingd")["mode"] = "nearest"
    with pytest.raises(ModelError, match="Spacingd with mode 'nearest' is not supported"):
        read_preprocessing(BundleConfig(config, "configs/inference.json"), 3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_an_output_that_is_no_number_is_an_error_and_not_a_result_without_finding(activation: str, tmp_path: Path) -> None:
    model = load(make_classifier(tmp_path / "zoo" / "bundle", inference(activation=activation)), tmp_path / "made")
    with torch.no_grad():
        next(model._net.parameters()).mul_(float("nan"))
    with pytest.raises(ModelError, match="the network's output holds values that are no numbers"):
        model.predict([photograph(True)])
