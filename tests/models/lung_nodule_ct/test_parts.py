"""The parts of the nodule detector on made-up volumes: grid, lung field, synthetic nodules, candidates."""

import numpy as np
import pytest

from core.concepts import private_codes
from imaging import masks
from models.ct import isotropic_grid
from models.ct.lung_field import lung_field
from models.lung_nodule_ct import findings
from models.lung_nodule_ct.candidates import ScoredPlace, axial_axes, find_candidates, one_per_nodule
from models.lung_nodule_ct.description import density
from tests.support.lung_heat import COARSE, ball_heat, chest
from training.lung_nodule_ct.detection_metrics import detection_metrics, froc_curve
from training.lung_nodule_ct.evaluate import SeriesCopy
from training.lung_nodule_ct.patches.augment import thick_slices_matrix
from training.lung_nodule_ct.synthesis.distractors import KINDS as DISTRACTORS
from training.lung_nodule_ct.synthesis.distractors import Distractor, insert_distractor
from training.lung_nodule_ct.synthesis.synthetic_nodules import (
    KINDS,
    NoduleAppearance,
    SyntheticNodule,
    draw_appearance,
    insert_nodule,
    occupancy,
)
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank

SOLID = NoduleAppearance(tissue_hu=30.0, core_hu=30.0, core_share=0.0, edge_mm=0.5, uneven=0.0, spicules=0)


def whole(hu: np.ndarray) -> isotropic_grid.ResamplingGrid:
    return isotropic_grid.ResamplingGrid((0, 0, 0), (1, 1, 1), hu.shape)


def test_grid_maps_back_and_forth() -> None:
    z, y, x = np.ogrid[:20, :40, :40]
    ramp = z * 100.0 + y * 2.0 + x
    part = isotropic_grid.grid_over_box((2.0, 5.0, 5.0), (15.0, 30.0, 30.0), (3.0, 0.7, 0.7))
    values = isotropic_grid.resample(ramp, part, smooth=False)
    assert values.shape == part.shape
    native = part.to_native((7, 11, 3))
    assert values[7, 11, 3] == pytest.approx(native[0] * 100 + native[1] * 2 + native[2], abs=1e-2)
    assert part.from_native(native) == pytest.approx((7, 11, 3))


def test_the_lung_field_contains_both_lungs_and_nodules_on_the_pleura() -> None:
    hu = chest()
    litres = float((hu == -850).sum()) * 12e-6
    edge = int(np.flatnonzero(hu[30, 70] == -850)[0]) + 3
    z, y, x = np.ogrid[:60, :140, :170]
    hu[((z - 30) * 3) ** 2 + ((y - 70) * 2) ** 2 + ((x - edge) * 2) ** 2 < 9**2] = 40  # a nodule on the chest wall
    lungs = lung_field(hu, COARSE)
    assert lungs is not None
    assert lungs.litres == pytest.approx(litres, rel=0.1)
    field = lungs.on_grid(lungs.field, whole(hu))
    assert field[30, 70, edge]
    assert not field[30, 2, 2]  # outside the body
    assert not field[30, 70, 20]  # the chest wall itself
    assert not field[30, 130, 85]


@pytest.mark.parametrize("value", [-1000, 40])
def test_no_lung_field_in_air_or_in_tissue(value: int) -> None:
    assert lung_field(np.full((40, 128, 128), value, np.int16), COARSE) is None


@pytest.mark.parametrize("spacing", [(3.0, 0.564, 0.564), (1.6, 0.781, 0.781)])
@pytest.mark.parametrize("diameter", [6.0, 14.0])
@pytest.mark.parametrize("kind", KINDS)
def test_a_synthetic_nodule_has_the_requested_volume(spacing: tuple[float, float, float], diameter: float, kind: str) -> None:
    rng = np.random.default_rng(3)
    share, core, middle = occupancy(rng, diameter, spacing, (0.3, -0.2, 0.1), draw_appearance(rng, kind))
    equivalent = (6 / np.pi * float(share.sum()) * float(np.prod(spacing))) ** (1 / 3)
    assert equivalent == pytest.approx(diameter, rel=0.1)
    assert share.min() >= 0
    assert share.max() <= 1
    assert (core <= share).all()
    assert share[middle] > 0.5
    assert (core.max() > 0.05) == (kind == "part_solid")


def test_insert_changes_only_its_place_and_reaches_its_density() -> None:
    rng = np.random.default_rng(4)
    before = chest()
    noise = NoiseBank(before, COARSE, rng)
    hu, share = before.copy(), np.zeros(before.shape, np.float32)
    insert_nodule(hu, share, COARSE, rng, noise, SyntheticNodule((30.0, 70.0, 52.0), 16.0, "solid"), SOLID)
    far = share == 0
    assert np.array_equal(hu[far], before[far])
    assert abs(float(hu[30, 70, 52]) - 30) < 40
    centre = (np.argwhere(share > 0) * share[share > 0][:, None]).sum(0) / share.sum()
    assert centre == pytest.approx((30, 70, 52), abs=0.3)


def test_the_same_seed_gives_the_same_nodule() -> None:
    def once() -> np.ndarray:
        rng = np.random.default_rng(5)
        hu = chest()
        insert_nodule(
            hu,
            np.zeros(hu.shape, np.float32),
            COARSE,
            rng,
            NoiseBank(hu, COARSE, rng),
            SyntheticNodule((30.0, 70.0, 52.0), 10.0, "part_solid"),
        )
        return hu

    assert np.array_equal(once(), once())


@pytest.mark.parametrize("kind", DISTRACTORS)
def test_a_distractor_is_dense_and_changes_only_its_place(kind: str) -> None:
    rng = np.random.default_rng(6)
    before = chest()
    hu = before.copy()
    insert_distractor(hu, COARSE, rng, NoiseBank(before, COARSE, rng), Distractor((30.0, 70.0, 52.0), kind, (0.0, 0.0, -1.0)))
    changed = hu != before
    assert changed.sum() * 12.0 > 50.0  # mm3
    z, y, x = np.argwhere(changed).T
    reach = np.array([np.abs(z - 30).max() * 3, np.abs(y - 70).max() * 2, np.abs(x - 52).max() * 2])
    assert (reach <= 30).all()
    assert hu[changed].max() > -500
    assert hu.min() >= -1024
    assert np.array_equal(before[before == 40], hu[before == 40]), "the wall stays"


THRESHOLDS = {"heat": 0.3, "volume_mm3": 15.0, "solid_hu": -250.0, "solid_share": 0.6, "glass_share": 0.1}


def test_candidates_are_sorted_by_score_with_place_and_size() -> None:
    heat = ball_heat(6.0)
    z, y, x = np.ogrid[: heat.grid.shape[0], : heat.grid.shape[1], : heat.grid.shape[2]]
    heat.values[(z - 60) ** 2 + (y - 75) ** 2 + (x - 70) ** 2 <= 4**2] = 0.7
    heat.values[80, 90, 80] = 1.0  # a speck
    found = find_candidates(heat, THRESHOLDS)
    assert [round(c.score, 2) for c in found] == [0.9, 0.7]
    assert found[0].centre == pytest.approx(heat.grid.to_native((40, 50, 45)), abs=0.05)
    assert found[0].diameter_mm == pytest.approx(12.0, rel=0.06)
    assert found[0].long_axis_mm == pytest.approx(13.0, abs=0.6)
    assert found[0].short_axis_mm == pytest.approx(13.0, abs=0.6)
    assert found[1].diameter_mm == pytest.approx(8.0, rel=0.08)


def test_axes_of_a_lying_box() -> None:
    points = np.argwhere(np.ones((3, 4, 12), dtype=bool))
    long_axis, short_axis = axial_axes(points)
    assert long_axis == pytest.approx(np.hypot(11, 3) + 1)
    assert 4.0 <= short_axis <= 7.0
    line = np.argwhere(np.ones((1, 1, 12), dtype=bool))
    assert axial_axes(line) == (12.0, 1.0)


def test_the_mask_covers_the_region_on_the_series_own_voxels() -> None:
    heat = ball_heat(8.0)
    (found,) = find_candidates(heat, THRESHOLDS)
    mask = density.native_mask(found, heat.grid, chest().shape)
    assert mask is not None
    whole_mask = masks.expand_mask(mask, chest().shape)
    assert whole_mask.sum() * 12.0 == pytest.approx(found.volume_mm3, rel=0.35)  # 3 mm slices: edges are rough
    centre = np.argwhere(whole_mask).mean(axis=0)
    assert centre == pytest.approx(found.centre, abs=0.6)


@pytest.mark.parametrize(("hu", "kind"), [(40.0, "solid"), (-600.0, "ground_glass")])
def test_density_by_the_share_of_dense_voxels(hu: float, kind: str) -> None:
    heat = ball_heat(8.0, hu=hu)
    (found,) = find_candidates(heat, THRESHOLDS)
    assert density.density_kind(density.solid_share(found, heat, -250.0), THRESHOLDS) == kind


def test_a_core_in_ground_glass_is_part_solid_and_bands_have_their_limits() -> None:
    heat = ball_heat(9.0, hu=-600.0)
    heat.image[36:45, 46:55, 41:50] = isotropic_grid.normalise(np.full((9, 9, 9), 20, np.float32))
    (found,) = find_candidates(heat, THRESHOLDS)
    assert density.density_kind(density.solid_share(found, heat, -250.0), THRESHOLDS) == "part_solid"
    bands = [findings.size_band(size) for size in (5.9, 6.0, 8.0, 15.0)]
    assert bands == [private_codes.SIZE_BELOW_6, private_codes.SIZE_6_TO_8, private_codes.SIZE_8_TO_15, private_codes.SIZE_FROM_15]


def test_thick_slices_keep_the_mean_and_smear_along_z() -> None:
    matrix = thick_slices_matrix(48, 4.0, 3.0, 1.2)
    assert matrix.sum(axis=1) == pytest.approx(np.ones(48), abs=1e-5)
    assert matrix.min() >= 0
    spike = np.zeros(48, np.float32)
    spike[24] = 1.0
    spread = np.flatnonzero(matrix @ spike > 1e-3)
    assert 3 <= spread.max() - spread.min() <= 10


def test_the_froc_curve_has_every_point_and_never_falls() -> None:
    nodules = tuple(SyntheticNodule((0.0, 0.0, 0.0), d, "solid", "isolated") for d in (5.0, 8.0, 12.0, 25.0))
    copies = [SeriesCopy(nodules, (0.9, 0.0, 0.5, 0.95), ("solid", "", "part_solid", "solid"), (0.8, 0.4))]
    assert froc_curve(copies) == [[0.0, 0.5], [1.0, 0.75], [2.0, 0.75]]
    figures = detection_metrics(copies, 0.45)
    assert figures["sensitivity"] == 0.75
    assert figures["false_positives_per_scan"] == 1.0
    assert figures["at_1_false_per_scan"] == 0.75
    assert figures["density_right"] == "2 of 3 found"
    assert figures["by_group"]["4_to_6_mm"] == {
        "n": 1, "found_at_1": 1.0, "found_at_2": 1.0, "found_at_4": 1.0, "found_at_8": 1.0, "found_at_the_operating_point": 1,
    }  # fmt: skip


def test_a_nodule_is_reported_once_and_a_second_nodule_beside_a_mass_is_reported() -> None:
    mass = ScoredPlace((0.0, 0.0, 0.0), 22.0, 0.9)
    inside, satellite = ScoredPlace((0.0, 0.0, 10.0), 6.0, 0.8), ScoredPlace((0.0, 0.0, 20.0), 6.0, 0.2)
    fragment, beyond = ScoredPlace((0.0, 21.0, 0.0), 3.0, 0.05), ScoredPlace((0.0, 0.0, -23.0), 3.0, 0.05)
    assert one_per_nodule([beyond, fragment, satellite, inside, mass]) == [4, 2, 0]
    small, near = ScoredPlace((5.0, 5.0, 5.0), 4.0, 0.5), ScoredPlace((5.0, 5.0, 9.5), 4.0, 0.5)
    assert one_per_nodule([near, small]) == [1], "at least 5 mm; of equal scores the first by place"
    assert one_per_nodule([]) == []
