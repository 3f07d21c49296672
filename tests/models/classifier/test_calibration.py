"""Probabilities, temperature and calibration error."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classifier.calibration import softmax
from training.calibration import expected_calibration_error, fit_temperature, negative_log_likelihood


def sample(scale: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from softmax(logits / scale): their right temperature is ``scale``."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2.5, (count, 5))
    chance = softmax(logits, scale)
    labels = (rng.random((count, 1)) < chance.cumsum(axis=1)).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_the_right_temperature_is_found_and_calibrates(scale: float) -> None:
    logits, labels = sample(scale)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(scale, rel=0.05)
    assert expected_calibration_error(softmax(logits, found), labels) < 0.015
    assert negative_log_likelihood(logits, labels, found) <= negative_log_likelihood(logits, labels, scale) + 1e-9
    assert expected_calibration_error(softmax(logits, scale / 4), labels) > 0.05


@given(st.lists(st.lists(st.floats(-80, 80), min_size=3, max_size=3), min_size=1, max_size=5), st.floats(0.1, 10))
def test_softmax_gives_probabilities_in_the_order_of_the_logits(rows: list[list[float]], temperature: float) -> None:
    logits = np.array(rows)
    p = softmax(logits, temperature)
    assert np.allclose(p.sum(axis=1), 1.0)
    assert (p >= 0).all()
    assert np.array_equal(p.max(axis=1), p[np.arange(len(p)), logits.argmax(axis=1)])
