"""MONAI detection bundles: read as data, never executed, converted, installed and served."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from core.records import RegisteredModel
from core.states import ModelOrigin, ModelState, Outcome, Tier
from imaging.volume.volume import Volume
from models import installed, runtime
from models.bundle import detector, detector_network
from models.bundle.allow_list import require_call
from models.bundle.config_reader import BundleCall, BundleConfig
from models.bundle.convert import convert
from models.bundle.input_grid import bundle_grid, flips_to_ras, network_input
from models.bundle.transforms import read_preprocessing, read_thresholds
from models.card import ModelCard, read_card
from tests.support.monai_bundles import inference, make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("zoo") / "bundle")


@pytest.fixture(scope="module")
def made(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Card and safetensors of the bundle."""
    out = tmp_path_factory.mktemp("made")
    convert(bundle, bundle.parent / "about.toml", out)
    return out


def volume(direction: tuple[float, float, float] = (1.0, 1.0, 1.0), shape: tuple[int, int, int] = (24, 80, 96)) -> Volume:
    """Noise with one bright voxel at (z, y, x) = (18, 20, 60); spacing 2, 1.5, 1 mm."""
    hu = np.random.default_rng(1).integers(-1000, -900, shape).astype(np.int16)
    hu[18, 20, 60] = 2000
    spacing = (2.0, 1.5, 1.0)
    affine = np.diag([*(d * s for d, s in zip(direction, reversed(spacing), strict=True)), 1.0])
    affine[:3, 3] = (-40.0, -50.0, 100.0)
    uids = tuple(f"1.2.{i}" for i in range(shape[0]))
    return Volume(hu, affine, spacing, uids, (1,) * shape[0], "1.2", ())


def test_the_layout_of_the_model_zoo_is_converted_to_a_card(bundle: Path, made: Path) -> None:
    card = read_card(made / "card.toml")
    assert (card.name, card.version, card.status, card.task, card.unit) == ("brought_detector", "0.6.9", "research", "detect", "series")
    assert card.network["backbone"] == {
        "name": "resnet10", "spatial_dims": 3, "n_input_channels": 1, "conv1_t_stride": [2, 2, 1], "conv1_t_size": [7, 7, 7],
        "widen_factor": 0.125,
    }  # fmt: skip
    assert card.network["returned_layers"] == [1, 2]
    assert card.network["base_anchor_shapes"] == [[6, 8, 4], [8, 6, 5], [10, 10, 6]]
    assert card.preprocessing["pixdim_mm"] == [2.0, 2.0, 4.0]
    assert card.preprocessing["window"] == [32, 32, 16]
    assert (card.thresholds["nms_thresh"], card.thresholds["score"], card.thresholds["review_score"]) == (0.22, 0.0, 0.8)
    assert "nothing here; the bundle claims" in card.metrics["measured"]
    given = torch.load(bundle / "models" / "model.pt", weights_only=True)["model"]
    kept = load_file(made / card.weights)
    assert given.keys() == kept.keys()
    assert all(torch.equal(given[key], kept[key]) for key in given)


def test_the_real_backbone_expression_is_read_as_data() -> None:
    config = inference()
    config["backbone"] = config["backbone"].replace("resnet10", "resnet50").replace(",widen_factor=0.125", "")
    found = detector_network.describe_network(BundleConfig(config, "inference.json"))
    assert found["backbone"]["name"] == "resnet50"
    assert require_call(BundleConfig(config, "x").get("network_def"), detector_network.NETWORKS, "network_def").name == "RetinaNet"


def test_a_zip_gives_the_same_result_as_a_folder(bundle: Path, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "zoo.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("configs/inference.json", "configs/metadata.json", "models/model.pt"):
            archive.write(bundle / name, f"lung_nodule/{name}")
        archive.writestr("../../escaped.txt", "x")
    convert(path, bundle.parent / "about.toml", tmp_path / "out" / "made")
    assert (tmp_path / "out" / "made" / "card.toml").read_bytes() == (made / "card.toml").read_bytes()
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize("direction", [(1, 1, 1), (-1, -1, 1), (1, 1, -1)])
def test_a_voxel_keeps_its_place_in_the_patient(made: Path, direction: tuple[float, float, float]) -> None:
    """What is brightest on the network's grid lies where it lay in the series."""
    card, given = read_card(made / "card.toml"), volume(direction)
    fine = [1.0, 1.5, 2.0]  # the series' own grid: nothing is lost by resampling
    card.preprocessing["pixdim_mm"][:] = fine  # type: ignore[index]
    image = network_input(given, bundle_grid(given, fine), flips_to_ras(given), card)
    place = np.array(np.unravel_index(image.argmax(), image.shape), float)
    model = runtime.load_folder(made, device="cpu", package="bundle")
    model.card.preprocessing["pixdim_mm"][:] = fine  # type: ignore[index]
    box = np.concatenate([place - 3, place + 3])
    finding = model._finding(given, bundle_grid(given, fine), flips_to_ras(given), box, 0, 0.9)  # type: ignore[attr-defined]
    assert finding.position_mm == pytest.approx(given.lps(18, 20, 60))
    assert finding.sop_instance_uid == "1.2.18"
    assert finding.image_point == pytest.approx((60.5, 20.5))
    assert finding.diameter_mm == pytest.approx((6 * 1.0 + 6 * 1.5) / 2, abs=0.06)
    # RAS: the first axis grows to the right (falling LPS x), the second to the front, the third to the head
    ends = [given.lps(*given.index(finding.position_mm))[axis] for axis in range(3)]
    assert ends == pytest.approx(finding.position_mm)


def test_the_imported_model_predicts_the_same_twice(made: Path) -> None:
    model = runtime.load_folder(made, device="cpu", package="bundle")
    model.warm_up()
    small = volume(shape=(20, 44, 64))
    first, second = model.predict([small, small])
    assert first == second
    assert first.outcome is Outcome.FINDINGS
    assert len(first.findings) == 3
    for finding in first.findings:
        numbers = (finding.score, finding.diameter_mm, *(finding.position_mm or ()), *(finding.image_point or ()))
        assert {type(number) for number in numbers} == {float}, "plain numbers, as the database and the report take them"
        assert finding.probability is None  # nothing has calibrated it
        assert finding.score is not None
        assert finding.tier is not Tier.HIGH
    assert "above the operating point" in first.notes[-1]
    tilted = volume()
    tilted.affine[:3, :3] = tilted.affine[:3, :3] @ np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    assert model.predict([tilted])[0].outcome is Outcome.NOT_ANALYSED


@pytest.mark.filterwarnings("ignore:cls_logits is NaN")  # MONAI warns and goes on
def test_scores_that_are_no_numbers_are_an_error_and_not_a_result_without_finding(made: Path) -> None:
    model = runtime.load_folder(made, device="cpu", package="bundle")
    assert isinstance(model, detector.BundleDetector)
    with torch.no_grad():
        for name, tensor in model._detector.network.named_parameters():
            if name.startswith("classification_head.") and name.endswith(".bias"):
                tensor.fill_(float("nan"))
    with pytest.raises(ModelError, match="the network's output holds values that are no numbers"):
        model.predict([volume()])


def test_an_installed_bundle_serves_only_after_activation(made: Path, tmp_path: Path) -> None:
    place = installed.install_version(made, tmp_path)
    assert (place.package, place.origin) == ("bundle", ModelOrigin.INSTALLED)
    assert "brought_detector" in installed.names(tmp_path)
    with pytest.raises(ModelError, match="no version of brought_detector is active"):
        installed.serving_version("brought_detector", (), tmp_path)
    row = RegisteredModel("brought_detector", "0.6.9", place.digest, ModelState.ACTIVE, ModelOrigin.INSTALLED, True)
    assert installed.serving_version("brought_detector", (row,), tmp_path) == place
    with pytest.raises(ModelError, match="no model 'brought_detector'"):
        installed.versions("brought_detector", tmp_path / "elsewhere")


class Evil:
    """Runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_pickle_with_code_is_not_executed(bundle: Path, tmp_path: Path, how: str) -> None:
    broken, trace = tmp_path / "bundle", tmp_path / "trace"
    (broken / "models").mkdir(parents=True)
    (broken / "configs").symlink_to(bundle / "configs")
    if how == "torch":
        torch.save({"model": Evil(trace)}, broken / "models" / "model.pt")
    else:
        (broken / "models" / "model.pt").write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(ModelError, match="holds more than tensors"):
        convert(broken, bundle.parent / "about.toml", tmp_path / "out")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("backbone", "$__import__('os').mkdir('TRACE')", "is an expression"),
        ("backbone", "$[os.mkdir('TRACE') for _ in [1]]", "is an expression"),
        ("backbone", "$os.mkdir('TRACE')", "not on the allow list"),
        ("backbone", "$monai.networks.nets.resnet.resnet10(spatial_dims=os.mkdir('TRACE'))", "is an expression"),
        ("backbone", "$monai.networks.nets.resnet.resnet10(block=1)", "argument block is not on the allow list"),
        ("backbone", "$monai.networks.nets.resnet.resnet10(**{'a': 1})", "is an expression"),
        ("backbone", "$(lambda: 0)()", "is an expression"),
        ("backbone", "$resnet10(" + "[" * 300, "is an expression"),
        ("backbone", "@backbone", "refers to itself"),
        ("backbone", "@nowhere", "does not exist"),
        ("network_def", {"_target_": "scripts.network.Mine"}, "scripts.network.Mine, which is not on the allow list"),
        ("network_def", {"_target_": "subprocess.run", "args": "mkdir TRACE"}, "subprocess.run, which is not on the allow list"),
        ("network_def", None, "has no 'network_def'"),
        ("anchor_generator", {"_target_": "os.system"}, "not on the allow list"),
        ("preprocessing", {"_target_": "Compose", "transforms": [{"_target_": "Lambdad", "func": "$os.mkdir"}]}, "is an expression"),
        ("preprocessing", {"_target_": "Compose", "transforms": [{"_target_": "Lambdad", "func": "x"}]}, "not known here: Lambdad"),
    ],
)
def test_no_expression_of_a_bundle_is_executed(bundle: Path, tmp_path: Path, key: str, value: object, says: str) -> None:
    trace = tmp_path / "trace"
    text = str(value).replace("TRACE", str(trace)) if isinstance(value, str) else value
    config = BundleConfig(inference() | {key: text}, "configs/inference.json")
    with pytest.raises(ModelError, match=says):
        _read_everything(config)
    assert not trace.exists()


def _read_everything(config: BundleConfig) -> None:
    detector_network.describe_network(config), read_preprocessing(config), read_thresholds(config)


def test_weights_that_do_not_fit_are_refused(bundle: Path, tmp_path: Path) -> None:
    broken = tmp_path / "bundle"
    (broken / "models").mkdir(parents=True)
    (broken / "configs").symlink_to(bundle / "configs")
    with pytest.raises(ModelError, match=r"bundle's weights are needed"):
        convert(broken, bundle.parent / "about.toml", tmp_path / "out")
    torch.save({"model": {"conv1.weight": torch.zeros(3)}}, broken / "models" / "model.pt")
    with pytest.raises(ModelError, match="do not fit the network of the bundle"):
        convert(broken, bundle.parent / "about.toml", tmp_path / "out")


def test_a_person_must_state_what_no_bundle_states(bundle: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.toml"
    about.write_text('name = "x"\n')
    with pytest.raises(ModelError, match="does not say licence, not_for, looked_for, labels"):
        convert(bundle, about, tmp_path / "out")


def test_a_call_is_parsed_with_its_references() -> None:
    config = BundleConfig({"a": "$b.c(@d, 2, e=[1.5, 'x'])", "d": {"_target_": "f", "g": 1}}, "x")
    assert config.get("a") == BundleCall("b.c", (BundleCall("f", (), {"g": 1}), 2), {"e": [1.5, "x"]})
    assert config.get("none") is None


def test_torch_load_is_called_in_one_module() -> None:
    folder = installed.registry.MODELS_FOLDER
    found = [path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if "torch.load(" in path.read_text()]
    assert found == ["bundle/weights.py"]
    assert isinstance(read_card(folder / "dermoscopy" / "card.toml"), ModelCard)
