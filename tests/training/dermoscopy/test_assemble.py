"""The networks of all folds as one model."""

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
from models.dermoscopy.ensemble import Panel
from models.dermoscopy.model import Model
from tests.support.ham10000_like import make_ham10000_like
from training.dermoscopy import assemble, finish, fit, split
from training.dermoscopy.data import read_index
from training.dermoscopy.held_out_rows import FILE, read

NAME = "dermoscopy_7class"
FEW = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ham10000_like(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five networks before their first step, each another."""
    out = tmp_path_factory.mktemp("folds")
    shipped = registry.card(NAME)
    recipe = {key: value for key, value in shipped.training.items() if key not in ("folds", "members", "fold", "images")}
    for fold in range(split.FOLDS):
        torch.manual_seed(fold)
        panel, folder = Panel(fit.NETWORK, len(shipped.labels)), out / f"fold{fold}"
        folder.mkdir()
        save_file({key: value.contiguous() for key, value in panel.state_dict().items()}, folder / shipped.weights)
        digest = hashlib.sha256((folder / shipped.weights).read_bytes()).hexdigest()
        training = {**recipe, "fold": fold, "images": 40 + fold}
        card = replace(shipped, weights_sha256=digest, network=fit.NETWORK, training=training)
        (folder / "card.toml").write_text(render_card(card))
    return out


def model_of(folder: Path) -> Model:
    card = read_card(folder / "card.toml")
    return Model(card, identity(card, "0" * 64), registry.verify_folder(folder), "cpu")


def test_the_members_answer_together_of_what_none_has_learned(data: Path, folds: Path) -> None:
    found = assemble.assemble(data, folds, progress=lambda _: None, limit_per_class=FEW)
    rows = read_index(data)
    whole, members = model_of(folds / assemble.TOGETHER), [model_of(folds / f"fold{fold}") for fold in range(split.FOLDS)]
    rng = np.random.default_rng(1)
    squares, facts = rng.integers(0, 255, (3, 150, 150, 3), np.uint8), rng.random((3, 18), np.float32)
    looked, each = whole.look(squares, facts), [member.look(squares, facts) for member in members]
    np.testing.assert_allclose(looked.logits, np.mean([one.logits for one in each], axis=0), atol=1e-5)
    np.testing.assert_allclose(looked.outline, np.mean([one.outline for one in each], axis=0), atol=1e-5)
    np.testing.assert_array_equal(looked.distance, each[-1].distance)
    assert np.ptp([one.logits for one in each], axis=0).max() > 1e-3  # they are not one network five times
    held = {row.lesion_id for row in read(folds / assemble.TOGETHER / FILE).of(rows)}
    assert held == split.set_aside(rows) == split.unseen(rows, whole.card.training)
    assert found["n"] == len([row for row in rows if row.lesion_id in held])
    assert whole.card.limits.count(finish.OF_SEVERAL) == 1
    assert set(whole.card.training["members"]) == set(whole.card.network["members"]) == {f"fold{fold}" for fold in range(split.FOLDS)}


def test_what_is_set_aside_is_learned_in_no_fold(data: Path) -> None:
    rows = read_index(data)
    aside = split.set_aside(rows)
    assert 0 < len(aside) < len(split.held_out(rows, 0))
    assert aside <= split.held_out(rows, 0)


def test_one_fold_alone_or_one_of_another_recipe_is_an_error(data: Path, folds: Path, tmp_path: Path) -> None:
    shutil.copytree(folds / "fold0", tmp_path / "fold0")
    with pytest.raises(ModelError, match=r"1 trained network.* two or more"):
        assemble.assemble(data, tmp_path)
    other = folds / f"fold{split.FOLDS - 1}"
    shutil.copytree(other, tmp_path / other.name)
    card = tmp_path / other.name / "card.toml"
    card.write_text(card.read_text().replace("label_smoothing = 0.05", "label_smoothing = 0.5"))
    with pytest.raises(ModelError, match="several recipes"):
        assemble.assemble(data, tmp_path)


def test_a_card_of_before_a_recipe_had_a_field_is_of_the_default_recipe() -> None:
    shipped = registry.card(NAME)
    stage = {key: value for key, value in shipped.training["second"].items() if key != "weighted"}
    before = replace(shipped, training={**shipped.training, "second": stage, "fold": 3})
    now = replace(shipped, training={**shipped.training, "second": {**stage, "weighted": False}, "fold": 4})
    other = replace(shipped, training={**shipped.training, "second": {**stage, "weighted": True}})
    assert assemble.recipe_of(before) == assemble.recipe_of(now) != assemble.recipe_of(other)
