"""Which updates of a round are refused, and how the others are averaged."""

import numpy as np
import pytest

from training.federated.update_check import SiteUpdate, average, form_refusal, refused_updates

SENT = {"weight": np.zeros((3, 4), np.float32), "bias": np.zeros(3, np.float32)}


def update(site: str, step: float = 1.0, images: float = 100, **tensors: np.ndarray) -> SiteUpdate:
    """An update that moves every value by ``step``; ``tensors`` replaces some."""
    return SiteUpdate(site, {name: value + np.float32(step) for name, value in SENT.items()} | tensors, images)


@pytest.mark.parametrize(
    ("tensors", "images", "reason"),
    [
        ({"bias": np.array([1, np.nan, 2], np.float32)}, 100, "bias holds values that are no numbers"),
        ({"bias": np.array([1, np.inf, 2], np.float32)}, 100, "bias holds values that are no numbers"),
        ({"bias": np.array([1, 1e39, 2], np.float64)}, 100, "bias holds values that are no numbers"),
        ({"bias": np.zeros(4, np.float32)}, 100, "bias has shape (4,)"),
        ({"bias": np.zeros(3, np.int64)}, 100, "bias has shape (3,) and type int64"),
        ({"unknown": np.zeros(3, np.float32)}, 100, "0 are missing, 1 are unknown"),
        ({}, 0, "a number of images"),
        ({}, float("nan"), "a number of images"),
    ],
)
def test_updates_of_the_wrong_form_are_refused(tensors: dict[str, np.ndarray], images: float, reason: str) -> None:
    refused = refused_updates([update("a"), update("b"), update("c", images=images, **tensors)], SENT)
    assert list(refused) == ["c"]
    assert reason in refused["c"]


def test_an_update_that_is_far_too_long_or_points_against_all_others_is_refused() -> None:
    good = [update("a", 1.0), update("b", 0.8), update("c", 1.2)]
    assert refused_updates(good, SENT) == {}
    assert "times as long as the median" in refused_updates([*good, update("d", 40.0)], SENT)["d"]
    assert "against those of all other sites" in refused_updates([*good, update("d", -1.0)], SENT)["d"]


def test_two_sites_are_not_compared_with_each_other() -> None:
    assert refused_updates([update("a"), update("b", -5.0)], SENT) == {}


def test_the_mean_is_weighted_by_images_and_a_claimed_number_is_bounded() -> None:
    mean = average([update("a", 0.0, images=100), update("b", 1.0, images=300)])
    assert mean["bias"] == pytest.approx([0.75] * 3)
    bounded = average([update("a", 0.0, images=100), update("b", 0.0, images=100), update("c", 1.0, images=10_000_000)])
    assert bounded["bias"] == pytest.approx([400 / 600] * 3)
    assert bounded["weight"].dtype == np.float32
    assert form_refusal(SiteUpdate("a", bounded, 1), SENT) == ""
