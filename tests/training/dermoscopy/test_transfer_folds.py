"""dermoscopy_7class: the transfer learning in folds never trains on the lesions of its fold, and each image is answered by its own fold."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError
from models import registry
from models.card import ModelCard, read_card
from models.card_writer import render_card
from tests.support.ham10000_like import make_ham10000_like
from training.dermoscopy.ham10000 import split
from training.dermoscopy.ham10000.data import read_index
from training.dermoscopy.measure.fold_answers import answer_fold, join_tables
from training.dermoscopy.transfer import cross_validation
from training.dermoscopy.transfer.archives import DataPart, list_images
from training.dermoscopy.transfer.cross_validation import BOTH, EFFICIENTNET, NETWORK, START, fold_networks, fold_recipe
from training.dermoscopy.transfer.train import WEIGHTS, read_lite, write_lite

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ham10000_like(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of five networks: each is the shipped network without ImageNet weights, with another head."""
    folder, shipped = tmp_path_factory.mktemp("base"), registry.folder(NAME)
    card = read_card(shipped / "card.toml")
    names = [f"fold{fold}" for fold in range(split.FOLDS)]
    tensors = {}
    for place, name in enumerate(names):
        for key, value in load_file(shipped / card.weights).items():
            if key.startswith("members.fold4.") and (name == "fold4" or "familiarity" not in key):
                turned = torch.roll(value, place, 0) if key.endswith("fc.1.weight") else value
                tensors[key.replace("fold4", name)] = turned.contiguous()
    save_file(tensors, folder / card.weights)
    table = card.network["members"]["fold4"]
    members = {name: {**table, "familiar": name == "fold4"} for name in names}
    training = {**card.training, "members": dict.fromkeys(names, "0" * 64)}
    (folder / "card.toml").write_text(render_card(replace(card, network={"members": members}, training=training)))
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """EfficientNets of five folds: each is the shipped one, with another head."""
    out = tmp_path_factory.mktemp("trained")
    for fold in range(split.FOLDS):
        net = read_lite(registry.folder(NAME) / "weights.safetensors")
        net.head.weight.data = torch.roll(net.head.weight.data, fold, 0)
        (out / f"fold{fold}").mkdir()
        write_lite(net, out / f"fold{fold}")
    return out


def test_a_fold_is_not_trained_on_and_the_common_start_sees_no_image_of_ham10000(data: Path) -> None:
    rows = read_index(data)
    aside = split.set_aside(rows)
    for fold in range(split.FOLDS):
        listed = list_images(data, leave_out=[int(digit) for digit in fold_recipe(fold).leave_out])
        held = {image.row.lesion_id for image in listed if image.part is DataPart.HELD_OUT}
        assert held == split.held_out(rows, fold) | aside
    listed = list_images(data, leave_out=[int(digit) for digit in START.leave_out])
    assert [image for image in listed if image.part is DataPart.TRAINING] == []
    with pytest.raises(ValueError, match="a fold is"):
        list_images(data, leave_out=[7])


def test_small_images_come_first() -> None:
    recipe = fold_recipe(3)
    assert [recipe.side(step) for step in (0, 1499, 1500, 2199)] == [128, 128, 192, 192]
    assert START.side(0) == 128


def test_every_image_is_answered_by_the_two_networks_of_its_fold(data: Path, base: Path, trained: Path) -> None:
    rows = read_index(data)
    lesions = split.held_out(rows, 2)
    some = [row for row in rows if row.lesion_id in lesions][:3]
    card = read_card(base / "card.toml")
    own, other = (answer_fold(data, some, networks_of(card, base, trained, fold)) for fold in (2, 3))
    for kind in (EFFICIENTNET, NETWORK):
        assert own[kind].images.tolist() == [row.image_id for row in some]
        assert not np.allclose(own[kind].logits, other[kind].logits, atol=1e-3)
    joined = join_tables(own)
    np.testing.assert_allclose(joined.logits, (own[EFFICIENTNET].logits + own[NETWORK].logits) / 2)
    assert np.isnan(own[EFFICIENTNET].dice).all()
    assert joined.dice.tolist() == own[NETWORK].dice.tolist()


def networks_of(card: ModelCard, base: Path, trained: Path, fold: int) -> cross_validation.Ensemble:
    return fold_networks(card, base, trained / f"fold{fold}" / WEIGHTS, fold)


def test_all_images_are_measured_by_kind_of_network(data: Path, base: Path, trained: Path, tmp_path: Path) -> None:
    for fold in range(split.FOLDS):
        (tmp_path / f"fold{fold}").symlink_to(trained / f"fold{fold}")
    cross_validation.main(["--data", str(data), "--base", str(base), "--out", str(tmp_path), "--only-report"])
    found = json.loads((tmp_path / "crossval.json").read_text())
    count = len(read_index(data))
    assert found["n"] == count
    assert {kind: entry["n"] for kind, entry in found["by_network"].items()} == {EFFICIENTNET: count, NETWORK: count, BOTH: count}
    assert found["balanced_accuracy"] == found["by_network"][BOTH]["balanced_accuracy"]
    assert sum(entry["n"] for entry in found["by_fold"].values()) == count
    better = found["better_than_without_imagenet_weights"][EFFICIENTNET]["macro_auc"]
    expected = found["by_network"][EFFICIENTNET]["macro_auc"] - found["by_network"][NETWORK]["macro_auc"]
    assert better["better_by"] == pytest.approx(expected, abs=1e-3)
    assert better["low"] <= better["better_by"] <= better["high"]
    with pytest.raises(ModelError, match="make crossval trains both"):
        cross_validation.measure_folds(data, tmp_path / "nowhere", base)
