"""The ensemble of all folds."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from core.errors import ModelError
from models import registry
from models.card import identity, read_card
from models.card_writer import render_card
from models.dermoscopy.ensemble import Ensemble
from models.dermoscopy.model import DermoscopyClassifier
from tests.support.ham10000_like import make_ham10000_like
from training.dermoscopy import finish
from training.dermoscopy.ensemble import ENSEMBLE, make_ensemble, recipe_of
from training.dermoscopy.fit.recipe import NETWORK
from training.dermoscopy.ham10000 import split
from training.dermoscopy.ham10000.data import read_index
from training.dermoscopy.measure.held_out_table import FILE, read_table

NAME = "dermoscopy_7class"
FEW = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ham10000_like(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five networks with different random weights."""
    out = tmp_path_factory.mktemp("folds")
    shipped = registry.card(NAME)
    recipe = {key: value for key, value in shipped.training.items() if key not in ("folds", "members", "fold", "images", "transfer")}
    for fold in range(split.FOLDS):
        torch.manual_seed(fold)
        ensemble, folder = Ensemble(NETWORK, len(shipped.labels)), out / f"fold{fold}"
        folder.mkdir()
        save_file({key: value.contiguous() for key, value in ensemble.state_dict().items()}, folder / shipped.weights)
        digest = hashlib.sha256((folder / shipped.weights).read_bytes()).hexdigest()
        training = {**recipe, "fold": fold, "images": 40 + fold}
        limits = {name: limit for name, limit in shipped.thresholds.items() if name != "min_outline"}  # no fold's card has it
        card = replace(shipped, weights_sha256=digest, network=NETWORK, training=training, thresholds=limits)
        (folder / "card.toml").write_text(render_card(card))
    return out


def model_of(folder: Path) -> DermoscopyClassifier:
    card = read_card(folder / "card.toml")
    return DermoscopyClassifier(card, identity(card, "0" * 64), registry.verify_weights(folder), "cpu")


def test_the_ensemble_is_the_mean_of_its_members_and_measured_on_lesions_of_no_training(data: Path, folds: Path) -> None:
    found = make_ensemble(data, folds, progress=lambda _: None, limit_per_class=FEW)
    rows = read_index(data)
    whole, members = model_of(folds / ENSEMBLE), [model_of(folds / f"fold{fold}") for fold in range(split.FOLDS)]
    rng = np.random.default_rng(1)
    squares, facts = rng.integers(0, 255, (3, 150, 150, 3), np.uint8), rng.random((3, 18), np.float32)
    output, of_members = whole.run_networks(squares, facts), [member.run_networks(squares, facts) for member in members]
    np.testing.assert_allclose(output.logits, np.mean([one.logits for one in of_members], axis=0), atol=1e-5)
    np.testing.assert_allclose(output.outline, np.mean([one.outline for one in of_members], axis=0), atol=1e-5)
    np.testing.assert_array_equal(output.distance, of_members[-1].distance)
    assert np.ptp([one.logits for one in of_members], axis=0).max() > 1e-3  # the members differ
    held = {row.lesion_id for row in read_table(folds / ENSEMBLE / FILE).rows_of(rows)}
    assert held == split.set_aside(rows) == split.unseen(rows, whole.card.training)
    assert found["n"] == len([row for row in rows if row.lesion_id in held])
    assert whole.card.limits.count(finish.ENSEMBLE_LIMIT) == 1
    assert set(whole.card.training["members"]) == set(whole.card.network["members"]) == {f"fold{fold}" for fold in range(split.FOLDS)}


def test_lesions_set_aside_are_a_part_of_fold_0(data: Path) -> None:
    rows = read_index(data)
    aside = split.set_aside(rows)
    assert 0 < len(aside) < len(split.held_out(rows, 0))
    assert aside <= split.held_out(rows, 0)


def test_a_single_fold_or_a_fold_of_another_recipe_is_an_error(data: Path, folds: Path, tmp_path: Path) -> None:
    shutil.copytree(folds / "fold0", tmp_path / "fold0")
    with pytest.raises(ModelError, match=r"1 trained network.* two or more"):
        make_ensemble(data, tmp_path)
    other = folds / f"fold{split.FOLDS - 1}"
    shutil.copytree(other, tmp_path / other.name)
    card = tmp_path / other.name / "card.toml"
    card.write_text(card.read_text().replace("label_smoothing = 0.05", "label_smoothing = 0.5"))
    with pytest.raises(ModelError, match="several recipes"):
        make_ensemble(data, tmp_path)


def test_a_card_without_a_newer_field_of_the_recipe_has_its_default() -> None:
    shipped = registry.card(NAME)
    stage = {key: value for key, value in shipped.training["second"].items() if key != "weighted"}
    before = replace(shipped, training={**shipped.training, "second": stage, "fold": 3})
    now = replace(shipped, training={**shipped.training, "second": {**stage, "weighted": False}, "fold": 4})
    other = replace(shipped, training={**shipped.training, "second": {**stage, "weighted": True}})
    assert recipe_of(before) == recipe_of(now) != recipe_of(other)
