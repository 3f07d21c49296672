"""dermoscopy_7class: transfer learning from ImageNet weights, also after an interruption, and the release with all networks."""

import csv
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import ModelError
from deploy.demo.synthetic.lesion import make_lesion
from models import registry
from models.card import identity, read_card
from models.classifier.efficientnet_lite import KIND, LiteTrunk
from models.classifier.folded_layers import fold_normalisation
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.patient import FACTS
from tests.support.ham10000_like import CLASSES, add, make_ham10000_like
from training.dermoscopy.ham10000.data import read_index
from training.dermoscopy.ham10000.split import set_aside
from training.dermoscopy.transfer.archives import ISIC_ARCHIVE, ISIC_INDEX, ISIC_TEST, DataPart, check_disjoint, list_images
from training.dermoscopy.transfer.imagenet import read_imagenet
from training.dermoscopy.transfer.images import TransferImages, load_transfer_images
from training.dermoscopy.transfer.loop import train_lite
from training.dermoscopy.transfer.recipe import TransferRecipe, transfer_rate
from training.dermoscopy.transfer.release import LITE, kept_folds, make_release
from training.dermoscopy.transfer.sampling import ABSENT, adjusted_loss, sample_archives
from training.dermoscopy.transfer.train import main, read_lite, write_lite

NAME = "dermoscopy_7class"
RECIPE = TransferRecipe(steps=2, batch=2, input_px=32, mixing=0.5, average_every=1, ema_decay=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in the layout of HAM10000, and ten images in that of ISIC 2017, of which four are of the test part."""
    root = make_ham10000_like(tmp_path_factory.mktemp("data"))
    folder = root / "dermoscopy"
    with (folder / ISIC_INDEX).open("w", newline="") as lines, tarfile.open(folder / ISIC_ARCHIVE, "w") as tar:
        table = csv.DictWriter(lines, ("file", "isic_id", "label_ham7", "split_2017"))
        table.writeheader()
        for number in range(10):
            part = ISIC_TEST if number < 4 else "Training"
            add(tar, f"isic_{number}.jpg", make_lesion(500 + number, size=(64, 64)).jpeg)
            line = {"file": f"isic_{number}.jpg", "isic_id": f"ISIC_{number}", "label_ham7": ("mel", "nv")[number % 2]}
            table.writerow({**line, "split_2017": part})
    return root


@pytest.fixture(scope="module")
def images(data: Path) -> TransferImages:
    return load_transfer_images(data, list_images(data))


def test_the_imagenet_weights_fit_exactly_and_folding_keeps_the_answers() -> None:
    trunk = LiteTrunk()
    tensors = read_imagenet()
    assert tensors.keys() == trunk.state_dict().keys()
    trunk.load_state_dict(tensors)
    net = build_lite({"facts": FACTS}, 7).eval()
    net.trunk.load_state_dict(tensors)
    image = torch.from_numpy(np.random.default_rng(1).integers(0, 255, (1, 3, 64, 64), np.uint8))
    with torch.inference_mode():
        before = net.maps(image)[-1]
        assert before.shape == (1, 1280, 2, 2)
        assert float(before.min()) == 0.0
        assert 3.0 < float(before.max()) <= 6.0  # ReLU6 of a trained network
        fold_normalisation(net.trunk)
        torch.testing.assert_close(net.maps(image)[-1], before, atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="multiples of 32"):
        net(torch.zeros(1, 3, 100, 100))
    with pytest.raises(ModelError, match="no ImageNet weights"):
        read_imagenet(Path("absent.pth"))


def test_held_out_lesions_and_the_external_test_are_never_trained_on(data: Path, images: TransferImages) -> None:
    trained = {images.groups[i] for i in images.of(DataPart.TRAINING)}
    held, external = ({images.groups[i] for i in images.of(part)} for part in (DataPart.HELD_OUT, DataPart.EXTERNAL))
    assert held == set_aside(read_index(data))
    assert external == {f"ISIC_{number}" for number in range(4)}
    assert not trained & (held | external)
    drawn = sample_archives(images, 0.5)
    assert set(drawn.index.tolist()) == set(images.of(DataPart.TRAINING).tolist())
    listed = list(images.listed)
    listed.append(replace(listed[0], part=DataPart.EXTERNAL))
    with pytest.raises(ModelError, match="is both"):
        check_disjoint(listed)


def test_the_loss_ignores_classes_that_an_archive_has_not(images: TransferImages) -> None:
    prior = sample_archives(images, 0.5).log_prior[2:3]  # ISIC 2017: mel and nv
    assert (prior[0] > ABSENT / 2).tolist() == [name in ("mel", "nv") for name in CLASSES]
    logits = torch.zeros(1, 7, requires_grad=True)
    adjusted_loss(logits, torch.tensor([4]), prior, 0.1).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.equal(logits.grad[0] != 0, prior[0] > ABSENT / 2)


def test_a_step_changes_what_is_trained_alone_and_an_interrupted_training_gives_the_same_weights(
    images: TransferImages, tmp_path: Path
) -> None:
    straight = train_lite(images, tmp_path / "straight", RECIPE, save_every=1)
    train_lite(images, tmp_path / "broken", RECIPE, save_every=1, stop_at=1)
    lines: list[str] = []
    resumed = train_lite(images, tmp_path / "broken", RECIPE, save_every=1, progress=lines.append)
    assert lines[0] == "continuing after step 1"
    first, second = straight.state_dict(), resumed.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    given = read_imagenet()
    changed = {name: not torch.equal(first[f"trunk.{name}"], given[name]) for name in given}
    assert not any(changed[name] for name in given if name.startswith(("_conv_stem", "_bn0", "_blocks.0.", "_blocks.1.")))
    assert all(changed[name] for name in given if name.endswith("conv.weight") and name.startswith(("_blocks.2.", "_blocks.6.")))
    with pytest.raises(ModelError, match="another recipe"):
        train_lite(images, tmp_path / "broken", replace(RECIPE, seed=9))


def test_the_command_writes_weights_that_a_next_training_starts_from(data: Path, images: TransferImages, tmp_path: Path) -> None:
    main(["--data", str(data), "--steps", "1", "--batch", "2", "--input-px", "32", "--out", str(tmp_path / "one")])
    first = read_lite(tmp_path / "one" / "lite.safetensors")
    second = train_lite(images, tmp_path / "two", RECIPE, start=first, stop_at=0)
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert torch.equal(read_lite(tmp_path / "one" / "checkpoint.safetensors").head.weight, first.head.weight)
    with pytest.raises(ModelError, match="holds no EfficientNet"):
        read_lite(registry.folder("lung_nodule_ct") / "weights.safetensors")


def test_the_rate_warms_up_and_falls() -> None:
    rates = [transfer_rate(step, TransferRecipe(steps=100)) for step in range(100)]
    assert rates[0] < rates[2] == pytest.approx(4e-4)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] < 1e-5


def test_a_release_joins_the_kinds_of_networks_with_equal_weight(data: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(registry.folder(NAME), base, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    torch.manual_seed(3)
    lites = []
    for name in ("first", "second"):
        lite: LiteNet = build_lite({"facts": FACTS}, 7).eval()
        (tmp_path / name).mkdir()
        lites.append(write_lite(lite, tmp_path / name))
    make_release(
        data,
        lites,
        tmp_path,
        base=base,
        version="9.0.0",
        input_px=64,
        progress=lambda _: None,
        limit_per_class=1,
    )
    card = read_card(tmp_path / "card.toml")
    model = DermoscopyClassifier(card, identity(card, "0" * 64), registry.verify_weights(tmp_path), "cpu")
    assert card.version == "9.0.0"
    assert {"external", "robustness", "melanoma_operating_points"} <= card.metrics.keys()
    assert card.metrics["external"]["n"] == 2  # one of each class of the test part
    tables = card.network["members"]
    assert list(tables)[:2] == [LITE, f"{LITE}2"]
    assert [tables[name].get("weight", 1.0) for name in tables] == [0.5, 0.5, 1.0]
    square, facts = np.random.default_rng(1).integers(0, 255, (224, 224, 3), np.uint8), np.zeros((1, FACTS), np.float32)
    ensemble = model._ensemble
    known = torch.from_numpy(facts)
    with torch.inference_mode():
        each = {name: ensemble.run_member(name, ensemble.input_of(name, [square]), known, 2).logits[0].numpy() for name in tables}
    kinds = [[each[name] for name in tables if (name in (LITE, f"{LITE}2")) is lite_kind] for lite_kind in (True, False)]
    wanted = np.mean(kinds[0], axis=0) / 2 + np.mean(kinds[1], axis=0) / 2
    np.testing.assert_allclose(model.run_networks([square], facts).logits[0], wanted, atol=1e-4)


def test_a_release_can_have_one_network_of_the_mean_of_the_weights(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(4)
    lites = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        lites.append(write_lite(build_lite({"facts": FACTS}, 7).eval(), tmp_path / name))
    options = {"version": "9.0.0", "input_px": 64, "progress": lambda _: None, "limit_per_class": 1}
    make_release(data, lites, tmp_path, members=["fold4"], averaged=True, **options)
    card = read_card(tmp_path / "card.toml")
    assert list(card.network["members"]) == [LITE, "fold4"]
    assert list(card.training["members"]) == ["fold4"]
    assert card.training["transfer"]["averaged"]
    released, first, second = (read_lite(path).head.weight for path in (tmp_path / card.weights, *lites))
    torch.testing.assert_close(released, (first + second) / 2)


def test_the_network_that_measures_the_distance_is_kept() -> None:
    card = read_card(registry.folder(NAME) / "card.toml")
    (table,) = (table for table in card.network["members"].values() if table["kind"] != KIND)
    several = replace(card, network={"members": {"fold3": table, "fold4": table}})
    assert list(kept_folds(several, [])) == ["fold3", "fold4"]
    assert list(kept_folds(several, ["fold4"])) == ["fold4"]
    with pytest.raises(ModelError, match="has no network fold7"):
        kept_folds(several, ["fold7", "fold4"])
    with pytest.raises(ModelError, match="fold4 measures the distance"):
        kept_folds(several, ["fold3"])
