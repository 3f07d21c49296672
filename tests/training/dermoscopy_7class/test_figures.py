"""Figures of answers whose quality is known."""

import numpy as np
import pytest

from training.dermoscopy_7class.figures import MELANOMA, cross_fitted, difference, external_figures, held_out_figures, operating_points

N = 240
FEW = 40  # resamples
LABELS = np.random.default_rng(1).choice(7, N, p=[0.1, 0.1, 0.15, 0.05, 0.15, 0.4, 0.05])
GROUPS = np.array([f"L{n // 2}" for n in range(N)])


def answers(strength: float) -> np.ndarray:
    """(N, 7) logits: noise, and ``strength`` for the true class."""
    logits = np.random.default_rng(2).normal(size=(N, 7))
    logits[np.arange(N), LABELS] += strength
    return logits


def test_perfect_answers_have_perfect_figures() -> None:
    found = held_out_figures(answers(20.0), LABELS, GROUPS, resamples=FEW)
    for name in ("balanced_accuracy", "macro_auc", "mel_sensitivity_at_90_specificity"):
        assert found[name] == [1.0, 1.0, 1.0]
    assert found["lesions"] == N // 2
    assert found["melanoma_operating_points"]["sensitivity_0.95"]["specificity"] == 1.0


def test_better_answers_are_better_by_more_than_nothing() -> None:
    good, poor = (cross_fitted(answers(strength), LABELS, GROUPS) for strength in (2.5, 0.5))
    found = difference(good, poor, LABELS, GROUPS, resamples=FEW)
    assert all(value[1] > 0 for value in found.values())
    assert all(value == [0.0, 0.0, 0.0] for value in difference(good, good, LABELS, GROUPS, resamples=FEW).values())


def test_the_temperature_of_one_half_is_fitted_on_the_other() -> None:
    logits = answers(2.0)
    p = cross_fitted(logits * 10, LABELS, GROUPS)  # far too sure: the fit takes it back
    assert p.max(1).mean() == pytest.approx(cross_fitted(logits, LABELS, GROUPS).max(1).mean(), abs=0.01)


def test_external_figures_are_of_the_classes_that_occur() -> None:
    three = np.isin(LABELS, (2, 4, 5))
    found = external_figures(answers(3.0)[three], LABELS[three], GROUPS[three], 1.0, resamples=FEW)
    assert found["balanced_accuracy_of_classes_there"][0] >= found["balanced_accuracy_of_7"][0]
    assert 0.9 < found["melanoma_auc"][1] <= found["melanoma_auc"][0] <= 1.0


def test_operating_points_reach_their_sensitivity() -> None:
    scores, positive = answers(1.5)[:, MELANOMA], LABELS == MELANOMA
    found = operating_points(scores, positive)
    assert 0.90 <= found["sensitivity_0.90"]["sensitivity"] < 0.95
    assert found["sensitivity_0.95"]["sensitivity"] >= 0.95
    assert found["sensitivity_0.95"]["specificity"] <= found["sensitivity_0.90"]["specificity"]
