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
        ({"bias": np.array(["a", "b", "c"])}, 100, "bias has shape (3,) and type <U1"),
        ({"bias": np.zeros(3, np.complex64)}, 100, "bias has shape (3,) and type complex64"),
        ({"weight": SENT["weight"], "bias": SENT["bias"]}, 100, "the update changes nothing"),
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
    assert "against those of the other sites" in refused_updates([*good, update("d", -1.0)], SENT)["d"]


@pytest.mark.parametrize("step", [-0.5, -1.0, -2.0, -2.9])
def test_a_long_update_with_its_sign_turned_is_refused_alone(step: float) -> None:
    """It turned the sum of all, so that the others pointed against it and the round had no update left."""
    assert list(refused_updates([update("a", 1.0), update("b", 1.0), update("c", step)], SENT)) == ["c"]


def test_an_update_against_the_mean_of_sites_that_differ_is_refused_alone() -> None:
    draws = np.random.default_rng(3)
    common = draws.normal(size=(3, 4))
    honest = {site: (common + draws.normal(size=(3, 4))).astype(np.float32) for site in ("a", "b", "d", "e")}
    opposed = (-1.5 * sum(honest.values()) / len(honest)).astype(np.float32)
    updates = [update(site, 0.0, weight=value) for site, value in honest.items()]
    assert refused_updates(updates, SENT) == {}
    assert list(refused_updates([*updates, update("c", 0.0, weight=opposed)], SENT)) == ["c"]
    assert list(refused_updates([*updates[:2], update("c", 0.0, weight=opposed)], SENT)) == ["c"]


def test_sites_that_send_no_change_do_not_make_the_others_too_long() -> None:
    """The median of the lengths was 0, so that every site that had trained was refused."""
    idle = [update(site, 0.0) for site in ("a", "b")]
    assert set(refused_updates([*idle, update("c", 1.0)], SENT)) == {"a", "b"}
    assert set(refused_updates([*idle, update("c", 1.0), update("d", 1.1), update("e", 0.9)], SENT)) == {"a", "b"}


def test_a_negative_variance_is_refused_because_its_root_is_taken() -> None:
    sent = {"bn.running_var": np.full(2, 0.01, np.float32), "bn.running_mean": np.zeros(2, np.float32)}
    step = SiteUpdate("a", {"bn.running_var": np.array([0.02, -0.01], np.float32), "bn.running_mean": np.full(2, -1, np.float32)}, 9)
    assert form_refusal(step, sent) == "bn.running_var holds negative variances"


def test_two_sites_are_not_compared_with_each_other() -> None:
    assert refused_updates([update("a"), update("b", -5.0)], SENT) == {}


def test_the_mean_is_weighted_by_images_and_a_claimed_number_is_bounded() -> None:
    mean = average([update("a", 0.0, images=100), update("b", 1.0, images=300)])
    assert mean["bias"] == pytest.approx([0.75] * 3)
    bounded = average([update("a", 0.0, images=100), update("b", 0.0, images=100), update("c", 1.0, images=10_000_000)])
    assert bounded["bias"] == pytest.approx([400 / 600] * 3)
    assert bounded["weight"].dtype == np.float32
    assert form_refusal(SiteUpdate("a", bounded, 1), SENT) == ""
