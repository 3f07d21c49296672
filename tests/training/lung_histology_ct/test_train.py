"""lung_histology_ct: copies, clusters and folds, and a training that resumes after an interruption."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from models import registry
from models.card import read_card
from tests.support.real_data import shared_data
from training import commands
from training.lung_histology_ct import card_text
from training.lung_histology_ct import data as screenshots
from training.lung_histology_ct import train as training_run
from training.lung_histology_ct.clusters import SAME_PATIENT, assign_folds, chest_similarity, cluster_chests
from training.lung_histology_ct.fit import FoldRecipe, sampling
from training.lung_histology_ct.train import train

NAME = "lung_histology_ct"
FEW, BATCH = 10, 20  # slices of each class; an epoch is then one step


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with ct-slices-4class; never part of the repository."""
    return shared_data(f"{screenshots.FOLDER}/{screenshots.INDEX}")


@pytest.fixture(scope="module")
def few_slices(data: Path) -> screenshots.SliceImages:
    """A few slices of each class."""
    return screenshots.load_slices(data, registry.card(NAME).thresholds, report=lambda _: None, limit_per_class=FEW)


def test_exact_copies_are_left_out(data: Path) -> None:
    rows = screenshots.read_index(data)
    assert len(rows) == 578
    pictures = screenshots.read_pictures(data, rows[:200])
    assert len({picture.tobytes() for picture in pictures}) == 200


def test_a_mirrored_brightened_or_cropped_chest_is_the_same_patient(data: Path) -> None:
    rows = screenshots.spread_over_index(screenshots.read_index(data), 4)[::5]
    chests = screenshots.read_pictures(data, rows)
    changed = [chests[0][:, ::-1], (chests[1] * 0.8 + 20).astype(np.uint8), chests[2][1:-1, 1:-1]]
    similarity = chest_similarity([*chests, *changed])
    for i in range(3):
        assert similarity[i, len(chests) + i] > SAME_PATIENT
    np.testing.assert_allclose(similarity, similarity.T)


def test_clusters_are_chains_within_a_class_and_lie_in_one_fold() -> None:
    similarity = np.eye(6)
    for i, j in ((0, 1), (1, 2), (3, 4)):
        similarity[i, j] = similarity[j, i] = 0.95
    labels = np.array([0, 0, 0, 0, 1, 1])
    clusters = cluster_chests(similarity, labels)
    assert clusters[0] == clusters[1] == clusters[2]
    assert len({clusters[0], clusters[3], clusters[4], clusters[5]}) == 4
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(4), 60)
    clusters = labels * 100 + rng.integers(0, 15, len(labels))
    folds = assign_folds(clusters, labels, classes=4, folds=screenshots.FOLDS)
    for cluster in np.unique(clusters):
        assert len(set(folds[clusters == cluster])) == 1
    for c in range(4):
        counts = np.bincount(folds[labels == c], minlength=screenshots.FOLDS)
        assert counts.min() >= 8


def test_large_clusters_are_drawn_less_and_the_held_out_fold_never(few_slices: screenshots.SliceImages) -> None:
    slices = few_slices
    index, chance, drawn = sampling(slices, 2, 0.5)
    assert (slices.folds[index] != 2).all()
    assert chance.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(drawn.sum(), 1.0)
    sizes = np.bincount(slices.clusters[index])
    for c in range(4):
        mine = slices.labels[index] == c
        weight = chance[mine] * np.sqrt(sizes[slices.clusters[index][mine]])
        np.testing.assert_allclose(weight, weight[0])


class Interruption(Exception):
    """Raised in the middle of a training."""


def test_an_interrupted_training_resumes_to_the_same_weights(
    data: Path, few_slices: screenshots.SliceImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "load_slices", lambda *_, **__: few_slices)
    monkeypatch.setattr(training_run, "FoldRecipe", partial(FoldRecipe, batch=BATCH))
    lines: list[str] = []

    def interrupt(line: str) -> None:
        if line.startswith("fold 3 epoch 1/2"):
            raise Interruption

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    train(data, straight, seed=4, epochs=2, progress=lines.append, limit_per_class=FEW)
    assert [line.split(" loss")[0] for line in lines if " epoch 2/2" in line] == [f"fold {k} epoch 2/2" for k in (1, 2, 3, 4, 5, 1)]
    card = read_card(straight / "card.toml")
    assert registry.verify_weights(straight) == straight / "weights.safetensors"
    assert card.training["seed"] == 4
    assert len(card.network["prior"]) == 4
    assert (straight / "metrics.json").is_file()
    with pytest.raises(Interruption):
        train(data, broken, seed=4, epochs=2, progress=interrupt, limit_per_class=FEW)
    assert not (broken / "weights.safetensors").exists()
    lines.clear()
    train(data, broken, seed=4, epochs=2, progress=lines.append, limit_per_class=FEW)
    assert "continuing after epoch 1" in lines
    for name in ("weights.safetensors", "card.toml", "metrics.json", "training.png"):
        assert (straight / name).read_bytes() == (broken / name).read_bytes(), name
    assert any(line.startswith("Across patients") for line in card.limits)
    with pytest.raises(ModelError, match="another recipe"):
        train(data, broken, seed=5, epochs=2, limit_per_class=FEW)


def test_the_sentences_of_the_card_follow_the_figures() -> None:
    before = ("What the data are.", "Across patients something of another training.", "What stays.")
    figures = {
        "macro_auc": 0.6, "intervals": {"macro_auc": [0.52, 0.68]}, "answered": {"share": 0.25},
        "refused": {"held_out": 0.03, "document": 0.97}, "own_split_with_shared_patients": {"accuracy": 0.5},
    }  # fmt: skip
    texts = card_text.card_limits(before, figures, 40)
    assert (texts[0], texts[3]) == (before[0], before[2])
    assert "0.60 (95 %: 0.52 to 0.68), better than by chance; 25 %" in texts[1]
    assert "trained for 40 epochs, has an accuracy of 0.50" in texts[2]
    assert texts[4].startswith("Pictures that are no slice")
    assert "document 97 %" in texts[4]
    assert card_text.card_limits(texts, figures, 40) == texts
    assert "no better than by chance" in card_text.across_patients({**figures, "intervals": {"macro_auc": [0.41, 0.61]}})


def test_training_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no .*index\.csv.*DICOM_NODE_DATA"):
        train(tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        commands.evaluate(NAME, tmp_path)
