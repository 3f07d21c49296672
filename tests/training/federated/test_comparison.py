"""The comparison of sites that train together with single sites: its division, its start, its noise and its figures."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.app_common.filters.svt_privacy import SVTPrivacy

from core.errors import ConfigurationError
from deploy.demo.inputs import data_folder
from models.card import read_card
from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_index
from training.federated.clear_start import HeldOutFeatures, HeldOutLogits, write_clear_start
from training.federated.comparison import TOGETHER, compare, private_update, train_rounds, trainings
from training.federated.local_training import load_ensemble, shared_tensors
from training.federated.plan import FederatedPlan
from training.federated.site_images import join_images, read_site_images
from training.federated.startup_kits import privacy_arguments, privacy_budget, require_noise
from training.federated.uneven_sites import divide_unevenly

SITES = ("north", "south", "west")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of fold 0 with a last layer of zeros."""
    return write_clear_start("fold4", tmp_path_factory.mktemp("start"))


def test_every_image_is_at_one_site_and_no_lesion_at_two() -> None:
    rows = read_index(data_folder())
    divided = divide_unevenly(rows, SITES, 20)
    assert sorted(row.image_id for site in divided.values() for row in site) == sorted(row.image_id for row in rows)
    lesions = [{row.lesion_id for row in site} for site in divided.values()]
    assert sum(map(len, lesions)) == len(set.union(*lesions))
    assert divided == divide_unevenly(rows, SITES, 20)
    assert divided != divide_unevenly(rows, SITES, 21)


def test_the_classes_are_uneven() -> None:
    rows = [HamImage(f"{name}{number}", "a", f"{name}{number}", name) for name in CLASSES for number in range(300)]
    divided = divide_unevenly(rows, SITES, 20)
    counts = np.array([[sum(row.dx == name for row in divided[site]) for name in CLASSES] for site in SITES])
    assert counts.sum() == len(rows)
    assert (counts.max(axis=0) > 150).sum() >= 4  # more than half of most classes is at one site


def test_the_start_has_no_opinion_and_its_rounds_move_the_last_layer_alone(start: Path, sites: dict[str, Path]) -> None:
    card = read_card(start / "card.toml")
    before = shared_tensors(load_ensemble(card, start / card.weights), "head")
    assert sum(value.size for value in before.values()) == 7 * 192 + 7
    assert not any(value.any() for value in before.values())
    images = {site: read_site_images(folder) for site, folder in sites.items()}
    plan = FederatedPlan(rounds=1, steps=1)
    together = train_rounds(start, images, plan)
    assert together.keys() == before.keys()
    assert all(value.any() for value in together.values())
    alone = {site: train_rounds(start, {site: one}, plan) for site, one in images.items()}
    shares = np.array([len(images[site].labels) for site in sorted(images)], float)
    for name, value in together.items():
        mean = np.average([alone[site][name] for site in sorted(images)], axis=0, weights=shares)
        np.testing.assert_allclose(value, mean, atol=1e-6)
    joined = join_images([images[site] for site in sorted(images)])
    assert len(joined.training) == shares.sum()


def test_every_layer_is_trained_and_measured_where_the_plan_says_so(start: Path, sites: dict[str, Path]) -> None:
    images = {site: read_site_images(folder) for site, folder in sites.items()}
    plan = FederatedPlan(rounds=1, steps=2, scope="all", learning_rate=5e-4)
    assert list(trainings(start, images, plan)) == [
        TOGETHER,
        "pooled",
        "north alone",
        "south alone",
    ]  # noise is compared for the last layer
    card = read_card(start / "card.toml")
    before = shared_tensors(load_ensemble(card, start / card.weights), "all")
    weights = train_rounds(start, images, plan)
    changed = {name for name, value in weights.items() if not np.array_equal(value, before[name])}
    assert changed == set(before)  # from the second step on: below a last layer of zeros the first has no gradient
    assert not any(name.endswith((".mean", ".std")) for name in before)  # constants of the input
    held = images["north"]
    logits = HeldOutLogits(start, held, np.arange(5))
    assert not logits.logits(before).any()  # the last layer of the start is zero
    head = {name: value for name, value in weights.items() if ".trunk.fc." in name}
    fast = HeldOutFeatures(start, held, np.arange(5)).logits(head)
    np.testing.assert_allclose(logits.logits(head), fast, atol=1e-4)
    assert np.abs(logits.logits(weights) - fast).max() > 1e-3


def test_a_site_without_a_class_does_not_teach_that_every_image_is_of_it(start: Path, sites: dict[str, Path], tmp_path: Path) -> None:
    """With smoothed labels the class that a site lacks was the answer to every image after a few steps."""
    folder = tmp_path / "site"
    shutil.copytree(sites["north"], folder)
    lines = [line for line in (folder / "index.csv").read_text().splitlines() if not line.endswith(",df")]
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    lacking = read_site_images(folder)
    assert not (lacking.labels == CLASSES.index("df")).any()
    weights = train_rounds(start, {"north": lacking}, FederatedPlan(rounds=1, steps=3, learning_rate=0.05))
    features = HeldOutFeatures(start, lacking, np.arange(len(lacking.labels)))
    assert not (features.logits(weights).argmax(1) == CLASSES.index("df")).any()


def test_less_epsilon_is_more_noise() -> None:
    step = {"weight": np.full((40, 50), 0.005, np.float32)}
    wide, narrow = (private_update(step, epsilon, 3)["weight"] for epsilon in (10.0, 1000.0))
    shared = wide != 0  # FLARE shares about half of the values
    assert 0.3 < shared.mean() < 0.7
    assert np.abs(wide[shared] - 0.005).mean() > np.abs(narrow[narrow != 0] - 0.005).mean()
    assert np.array_equal(wide, private_update(step, 10.0, 3)["weight"])


def test_the_budget_of_the_noise_is_what_the_filter_itself_counts() -> None:
    """No guarantee of ``epsilon``: each of the shared values spends it."""
    step = {"weight": np.full((7, 192), 0.005, np.float32), "bias": np.zeros(7, np.float32)}
    filter = SVTPrivacy(**privacy_arguments(10.0))
    filter.process(DXO(DataKind.WEIGHT_DIFF, data=step).to_shareable(), FLContext())
    assert filter.get_privacy_spent() == pytest.approx(privacy_budget(10.0, 7 * 192 + 7)) == pytest.approx(10 + 676 * 10)
    for wrong in (math.nan, math.inf, -1.0, 1e-9, 1e9):
        with pytest.raises(ConfigurationError, match=r"--epsilon is 0, or from 0\.001 to 1e"):
            require_noise(wrong)
    require_noise(0.0)


def test_a_training_is_compared_with_the_sites_together() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, len(CLASSES), 210)
    right = np.eye(len(CLASSES))[labels] * 3
    logits = {TOGETHER: right + rng.normal(size=right.shape), "north alone": right / 3 + rng.normal(size=right.shape)}
    figures = compare(logits, labels, np.array([f"lesion {number}" for number in range(len(labels))]))
    assert figures[TOGETHER]["balanced_accuracy_minus_together"] == (0.0, 0.0, 0.0)
    value, low, high = figures["north alone"]["balanced_accuracy_minus_together"]
    assert low < value < high < 0
    chosen = (logits[TOGETHER].argmax(1) == labels).astype(float)
    recall = np.mean([chosen[labels == c].mean() for c in range(len(CLASSES))])
    assert figures[TOGETHER]["balanced_accuracy"][0] == pytest.approx(recall, abs=1e-4)
