"""Metrics and their bootstrap intervals."""

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score, roc_curve

from training.bootstrap import bootstrap_metrics
from training.classifier_answers import ClassifierAnswers
from training.classifier_metrics import auc, class_recalls, confusion, per_class, sensitivity_at, summary_metrics

NAMES = ("benign", "malignant", "rare")
MALIGNANT = np.array([False, True, False])


def answers(n: int, *, seed: int = 0, skill: float = 1.5, images_per_group: int = 1) -> ClassifierAnswers:
    """Random answers, right more often than not; the same for every image of a group."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    logits = rng.normal(size=(n, 3))
    logits[np.arange(n), labels] += skill
    logits[:, 2] -= 3
    each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    groups = np.array([f"g{i}" for i in range(n)])
    repeated = [np.repeat(part, images_per_group, axis=0) for part in (each, labels, groups)]
    return ClassifierAnswers(NAMES, MALIGNANT, repeated[0], repeated[1], repeated[2], 0)


def test_auc_counts_ties_half() -> None:
    positive = np.array([True, True, False, False])
    assert auc(np.array([0.9, 0.5, 0.5, 0.1]), positive) == pytest.approx(3.5 / 4)
    assert auc(np.array([0.1, 0.2, 0.8, 0.9]), positive) == 0.0
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_metrics_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    for ties in (False, True):
        p = rng.dirichlet(np.ones(3), 200)
        p = np.round(p, 1) if ties else p
        labels = rng.integers(0, 3, 200)
        chosen = p.argmax(axis=1)
        for c in range(3):
            positive = labels == c
            assert auc(p[:, c], positive) == pytest.approx(roc_auc_score(positive, p[:, c]), abs=1e-12)
            false, true, _ = roc_curve(positive, p[:, c], drop_intermediate=False)
            assert sensitivity_at(p[:, c], positive) == pytest.approx(true[false <= 0.1].max(), abs=1e-12)
        wanted = recall_score(labels, chosen, average=None)
        np.testing.assert_allclose(class_recalls(chosen, labels, 3), wanted, atol=1e-12)
        assert [entry["recall"] for entry in per_class(chosen, labels, p, NAMES).values()] == pytest.approx(wanted, abs=1e-4)


def test_sensitivity_at_a_specificity_never_takes_more_false_ones() -> None:
    scores = np.concatenate([np.arange(100), [89.5, 95.5]]).astype(float)
    positive = np.array([False] * 100 + [True, True])
    assert sensitivity_at(scores, positive, 0.90) == 1.0  # ten of a hundred above 89.5
    assert sensitivity_at(scores, positive, 0.95) == 0.5
    assert sensitivity_at(scores, positive, 1.0) == 0.0


def test_a_class_that_does_not_occur_is_left_out() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    found = summary_metrics(NAMES, MALIGNANT, probabilities, np.array([0, 1, 1, 1]))
    assert found["balanced_accuracy"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["accuracy"] == 0.75
    assert found["malignancy_auc"] == 1.0
    assert "rare_recall" not in found


def test_intervals_contain_the_value_and_are_reproducible() -> None:
    given = answers(400)
    first = bootstrap_metrics(given, resamples=100)
    assert first == bootstrap_metrics(given, resamples=100)
    assert first != bootstrap_metrics(given, resamples=100, seed=1)
    for value, low, high in first.values():
        assert low <= value <= high or low - 0.05 <= value <= high + 0.05  # ece is biased upwards in a resample
    assert first["accuracy"][1] < first["accuracy"][0] < first["accuracy"][2]


def test_images_of_one_lesion_do_not_narrow_an_interval() -> None:
    """Ten times the images of the same lesions tell nothing new."""

    def width(given: ClassifierAnswers) -> float:
        _, low, high = bootstrap_metrics(given, resamples=150)["accuracy"]
        return high - low

    alone, repeated = width(answers(100)), width(answers(100, images_per_group=10))
    assert repeated == pytest.approx(alone, rel=0.25)
    assert width(answers(1000)) < alone / 2


def test_confusion_has_the_truth_in_rows() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1]])
    given = ClassifierAnswers(NAMES, MALIGNANT, probabilities, np.array([0, 1]), np.array(["a", "b"]), 0)
    assert confusion(given).tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
