"""dermoscopy_7class: the split, and a training that resumes after an interruption."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from models import registry
from models.card import read_card
from models.dermoscopy.patient import AGE, FACTS, SEX, SITE, Patient
from tests.support.ham10000_like import make_ham10000_like
from tests.support.real_data import shared_data
from training import commands
from training.dermoscopy.finish import ENSEMBLE_LIMIT
from training.dermoscopy.fit import recipe as recipes
from training.dermoscopy.fit.recipe import first_stage, second_stage
from training.dermoscopy.fit.schedule import learning_rate
from training.dermoscopy.ham10000 import data as ham
from training.dermoscopy.ham10000 import split
from training.dermoscopy.train import train
from training.dermoscopy.views.augment import augment_with_masks
from training.dermoscopy.views.mixup import drop_facts, mix

NAME = "dermoscopy_7class"
BATCH = 16  # an epoch is then one step


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with dermoscopy/index.csv; never part of the repository."""
    return shared_data("dermoscopy/index.csv")


def test_no_lesion_is_in_two_folds_and_every_class_is_held_out(data: Path) -> None:
    rows = ham.read_index(data)
    parts = [split.held_out(rows, fold) for fold in range(split.FOLDS)]
    assert parts == [split.held_out(rows[::-1], fold) for fold in range(split.FOLDS)]
    lesions = {row.lesion_id: row.dx for row in rows}
    assert sum(map(len, parts)) == len(frozenset().union(*parts)) == len(lesions)
    for held in parts:
        counts = Counter(lesions[lesion] for lesion in held)
        for dx, total in Counter(lesions.values()).items():
            assert abs(counts[dx] - total / split.FOLDS) < 1
    with pytest.raises(ValueError, match=r"0\.\.4"):
        split.held_out(rows, 5)


class Interruption(Exception):
    """Raised in the middle of a training."""


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "StageRecipe", partial(recipes.StageRecipe, batch=BATCH))
    data = make_ham10000_like(tmp_path / "data")
    lines: list[str] = []
    stages: list[str] = []

    def interrupt(line: str) -> None:
        stages.append(line)
        if line.startswith("epoch 1/2") and "stage second" in stages:
            raise Interruption

    def run(out: Path, progress: Callable[[str], None]) -> None:
        train(data, out, seed=4, epochs=2, progress=progress, limit_per_class=4)

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run(straight, lines.append)
    assert [line.split(" loss")[0] for line in lines if line.startswith("epoch")] == [
        "epoch 1/1",
        *(f"epoch {n}/2" for n in (1, 2)),
    ]
    card = read_card(straight / "card.toml")
    assert ENSEMBLE_LIMIT not in card.limits  # it is a single network
    assert registry.verify_weights(straight) == straight / "weights.safetensors"
    assert card.training["seed"] == 4
    assert card.metrics["n"] < 30
    assert (straight / "metrics.json").is_file()

    with pytest.raises(Interruption):
        run(broken, interrupt)
    assert not (broken / "weights.safetensors").exists()
    run(broken, lines.append)
    assert ("stage second", "continuing after epoch 1") in pairwise(lines)
    first, second = (load_file(folder / "weights.safetensors") for folder in (straight, broken))
    assert all(first[key].equal(second[key]) for key in first)

    with pytest.raises(ModelError, match="another recipe"):
        train(data, broken, seed=5, epochs=2, limit_per_class=4)


def test_training_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no .*index\.csv.*DICOM_NODE_DATA"):
        train(tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        commands.train(NAME, tmp_path, tmp_path / "other")
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        commands.evaluate(NAME, tmp_path)


def test_unknown_facts_of_a_patient_are_zero() -> None:
    assert not Patient().facts().any()
    assert not Patient(None, "O", "unknown").facts().any()
    known = Patient(50.0, "F", "back").facts()
    assert known.shape == (FACTS,)
    assert (known[AGE].tolist(), known[SEX].tolist(), known[SITE].sum()) == ([0.0, 1.0], [0.0, 1.0], 1.0)
    assert Patient(500.0).facts()[0] == Patient(110.0).facts()[0]


def test_facts_are_dropped_whole() -> None:
    facts = torch.from_numpy(np.stack([Patient(80.0, "M", "ear").facts()] * 400))
    kept = drop_facts(facts, np.random.default_rng(1), 0.4)
    assert facts.all(dim=0).any()
    for place in (AGE, SEX, SITE):
        there = kept[:, place].abs().sum(1) > 0
        assert torch.equal(kept[there][:, place], facts[there][:, place])
        assert 0.35 < there.float().mean() < 0.65
    assert 0.3 < (kept == 0).all(1).float().mean() < 0.55


def test_mixed_images_keep_their_share_of_both() -> None:
    """Images of one value each, so that the mean shows the share of each image."""
    images = torch.arange(8.0).view(8, 1, 1, 1).expand(8, 3, 32, 32).contiguous()
    masks, facts = images[:, 0].clone(), torch.arange(8.0).view(8, 1).expand(8, FACTS).contiguous()
    shares = []
    for seed in range(40):
        mixed = mix(images, masks, facts, np.random.default_rng(seed), 0.6)
        wanted = torch.arange(8.0) * mixed.share + mixed.other * (1 - mixed.share)
        for found in (mixed.images.mean((1, 2, 3)), mixed.masks.mean((1, 2)), mixed.facts.mean(1)):
            torch.testing.assert_close(found, wanted)
        shares.append(mixed.share)
    assert 8 <= shares.count(1.0) <= 24
    assert images[3].eq(3.0).all()


def test_masks_move_with_their_images() -> None:
    generator = torch.Generator().manual_seed(2)
    disc = torch.zeros(6, 40, 40)
    disc[:, 5:15, 20:30] = 1.0
    images = disc[:, None].expand(6, 3, 40, 40) * 200 + 20
    views, masks = augment_with_masks(images, disc, 32, generator, 0.0)
    inside, outside = views[masks[:, None].expand_as(views) > 0.9], views[masks[:, None].expand_as(views) < 0.1]
    assert inside.mean() - outside.mean() > 100


def test_the_learning_rate_warms_up_holds_and_falls() -> None:
    recipe = second_stage(epochs=10)
    rates = [learning_rate(step, 20, recipe) for step in range(200)]
    assert rates[0] < rates[10] < rates[19] == max(rates) == rates[99]
    assert rates[99] > rates[150] > rates[199] > 0
    alone = [learning_rate(step, 20, first_stage(epochs=10)) for step in range(200)]
    assert max(alone) == pytest.approx(2e-3, rel=0.01)
    assert alone[199] == pytest.approx(2e-5, rel=0.1)
