"""Appearance of a nodule, and what readers would rate it by the coefficients of a card."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.concepts import codes, private_codes
from imaging.ndimage import ndimage
from models.ct.isotropic_grid import denormalise, normalise
from models.lung_nodule_ct.candidates import find_candidates
from models.lung_nodule_ct.description.appearance import FEATURES, appearance
from models.lung_nodule_ct.description.outline import outline_by_density
from models.lung_nodule_ct.description.readers_estimate import density_by_readers, estimated_rating, reader_evaluations, suspicion_band
from models.lung_nodule_ct.heat import NoduleHeat
from tests.support.lung_heat import BALL, ball_heat


def seen(heat: NoduleHeat) -> dict[str, float]:
    (found,) = find_candidates(heat, {"heat": 0.3, "volume_mm3": 15.0})
    return dict(zip(FEATURES, appearance(outline_by_density(found, heat), heat), strict=True))


def test_appearance_of_a_solid_ball_in_units_of_100_hu() -> None:
    values = seen(ball_heat(6.0))
    assert values["log_diameter"] == pytest.approx(np.log(2.0), abs=0.06)
    assert [values[name] for name in ("hu_10", "hu_50", "hu_90", "hu_highest")] == pytest.approx([0.4] * 4, abs=0.01)
    assert (values["solid_share"], values["attached_share"]) == (1.0, 0.0)
    assert values["flatness"] == pytest.approx(1.0, abs=0.05)
    assert values["radial_spread"] < 0.1


def test_ground_glass_a_soft_edge_and_a_vessel_change_what_is_measured() -> None:
    sharp, glass = ball_heat(6.0), seen(ball_heat(6.0, hu=-600.0))
    soft = replace(sharp, image=normalise(ndimage.gaussian_filter(denormalise(sharp.image), 2.0)))
    touched = replace(sharp, image=sharp.image.copy())
    z, y, _ = (slice(at - 2, at + 2) for at in BALL)
    touched.image[z, y, BALL[2] :] = normalise(np.float32(40.0))
    before = seen(sharp)
    assert glass["solid_share"] == glass["tissue_share"] == 0.0
    assert seen(soft)["rim_sharpness"] < 0.7 * before["rim_sharpness"]
    assert glass["rim_sharpness"] == pytest.approx(before["rim_sharpness"], rel=0.02), "relative to the contrast"
    assert seen(touched)["attached_share"] > 0.005


def table(intercept: float, slope: float = 1.0) -> dict[str, Any]:
    rating = {"intercept": intercept, "coefficients": [slope]}
    limits = {"solid_from": 4.0, "part_solid_from": 2.5}
    return {
        "features": ["hu_50"], "mean": [1.0], "scale": [2.0], "texture": rating | limits, "margin": rating | {"sharp_from": 3.5},
        "malignancy": rating,
    }  # fmt: skip


def at(hu_50: float) -> np.ndarray:
    values = np.zeros(len(FEATURES))
    values[FEATURES.index("hu_50")] = hu_50
    return values


def test_a_rating_is_linear_and_stays_on_the_scale_of_the_readers() -> None:
    assert estimated_rating(table(3.0), "margin", at(2.0)) == 3.5
    assert [estimated_rating(table(3.0), "margin", at(value)) for value in (99.0, -99.0)] == [5.0, 1.0]


def test_a_rating_that_the_card_does_not_have_is_not_estimated() -> None:
    assert estimated_rating({}, "texture", at(0.0)) is density_by_readers({}, at(0.0)) is None
    assert reader_evaluations({}, at(0.0)) == ()


@pytest.mark.parametrize(("intercept", "kind"), [(4.5, "solid"), (3.0, "part_solid"), (1.5, "ground_glass")])
def test_density_by_the_limits_of_the_card(intercept: float, kind: str) -> None:
    assert density_by_readers(table(intercept), at(1.0)) == kind


@pytest.mark.parametrize(
    ("intercept", "margin", "suspicion"),
    [
        (4.5, codes.CIRCUMSCRIBED_MARGIN, private_codes.SUSPICION_HIGH),
        (3.0, codes.INDISTINCT_MARGIN, private_codes.SUSPICION_INDETERMINATE),
        (1.5, codes.INDISTINCT_MARGIN, private_codes.SUSPICION_LOW),
    ],
)
def test_margin_and_suspicion_are_evaluations_with_codes(intercept: float, margin: codes.Code, suspicion: codes.Code) -> None:
    said = {one.name: one.value for one in reader_evaluations(table(intercept), at(1.0))}
    assert said == {codes.MARGINS: margin, private_codes.SUSPICION: suspicion}


def test_the_limits_of_a_band_belong_to_the_middle() -> None:
    assert suspicion_band(2.5) == suspicion_band(3.5) == private_codes.SUSPICION_INDETERMINATE
