"""Real nodules: reading them, pasting them into volumes, the patches, and what a detector finds of them."""

import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotAnalysable
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.probability import combined_score
from tests.support.lung_like import SPACING_MM, TUMOUR, VOLUMES, small_chest, write_lung_folder
from training.lung_nodule_ct.patches.draw_patch import NODULE
from training.lung_nodule_ct.real import backgrounds as real_backgrounds
from training.lung_nodule_ct.real import real_bank
from training.lung_nodule_ct.real.backgrounds import Background, read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.calibration import operating_point
from training.lung_nodule_ct.real.measurement.examination import ExaminedCandidate, ExaminedScan, PresentNodule, nearest_target, scan_from
from training.lung_nodule_ct.real.measurement.real_metrics import calibration_error, real_metrics
from training.lung_nodule_ct.real.nodule_crops import RealNodule, fold_of, largest_part, read_nodules
from training.lung_nodule_ct.real.paste import paste_nodule
from training.lung_nodule_ct.real.prepared_volumes import draw_free_site, paste_nodules
from training.lung_nodule_ct.real.reference_volumes import read_volumes
from training.lung_nodule_ct.series.training_series import FROM_AIRWAYS_MM, TrainingSeries, draw_site


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lung_folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def nodules(data: Path) -> list[RealNodule]:
    return read_nodules(data)


@pytest.fixture(scope="module")
def backgrounds(data: Path) -> list[Background]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real_backgrounds, "series_folders", lambda _: [])
        found = read_backgrounds(data, 0)
    found[0] = dataclasses.replace(found[0], hard=((17.0, 40.0, 50.0),))
    return [dataclasses.replace(one, prepare=cache(one.prepare)) for one in found]


@pytest.fixture(scope="module")
def tumour(backgrounds: list[Background]) -> TrainingSeries:
    return backgrounds[1].prepare()


def test_of_a_consensus_in_parts_the_largest_is_the_nodule() -> None:
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 1:4, 1:4] = mask[1, 4, 4] = True  # parts that touch at a corner are one
    whole = mask.copy()
    mask[1, 7:9, 7:9] = True
    assert np.array_equal(largest_part(mask), whole)
    assert np.array_equal(largest_part(whole), whole)
    assert not largest_part(np.zeros_like(mask)).any()


@pytest.mark.parametrize("place", ["isolated", "pleural", "vessel"])
def test_no_nodule_is_placed_in_or_beside_a_large_airway(tumour: TrainingSeries, place: str) -> None:
    rng, (_, _, columns) = np.random.default_rng(4), tumour.airway_mm.shape
    distance = np.abs(np.arange(columns) - columns // 4) * tumour.lungs.spacing_mm[2]  # an airway through the middle of the right lung
    beside = dataclasses.replace(tumour, airway_mm=np.broadcast_to(distance, tumour.airway_mm.shape).astype(np.float32))
    everywhere = dataclasses.replace(tumour, airway_mm=np.zeros_like(tumour.airway_mm))
    air = np.argwhere(tumour.lungs.air)
    for _ in range(10):
        for at in (draw_free_site(beside, air, rng, 6.0, place), draw_site(beside, rng, 6.0, place)):
            if at is not None:
                column = (at[2] + 0.5) / tumour.lungs.factor[2] - 0.5
                assert abs(column - columns // 4) * tumour.lungs.spacing_mm[2] > 3.0 + FROM_AIRWAYS_MM - tumour.lungs.spacing_mm[2]
    assert draw_free_site(everywhere, air, rng, 6.0, place) is draw_site(everywhere, rng, 6.0, place) is None


def test_volumes_and_marks_are_read(data: Path, tmp_path: Path) -> None:
    first, second = read_volumes(data)
    assert (first.name, second.name) == VOLUMES
    assert np.array_equal(first.hu, small_chest())
    assert first.spacing_mm == SPACING_MM
    assert (first.fully_read, second.fully_read) == (True, False)
    assert [(n.centre, n.diameter_mm) for n in second.nodules] == [(TUMOUR, 16.0)]
    with pytest.raises(NotAnalysable, match="no real CT volume"):
        read_volumes(tmp_path)


def test_nodules_have_their_mask_and_rating(nodules: list[RealNodule], tmp_path: Path) -> None:
    assert [n.kind for n in nodules[:2]] == ["ground_glass", "solid"]
    volume = float(nodules[3].mask.sum()) * float(np.prod(nodules[3].spacing_mm))
    assert volume == pytest.approx(np.pi / 6 * nodules[3].diameter_mm ** 3, rel=0.15)
    assert nodules[3].hu[nodules[3].mask].mean() == pytest.approx(30, abs=6)
    assert nodules[3].dense_surroundings() == 0.0
    with pytest.raises(NotAnalysable, match="no real nodules"):
        read_nodules(tmp_path)


def test_a_pasted_nodule_has_its_volume_and_density_and_changes_only_its_place(nodules: list[RealNodule]) -> None:
    before, rng = small_chest(), np.random.default_rng(3)
    hu, share = before.copy(), np.zeros(before.shape, np.float32)
    centre = (17.0, 40.0, 36.3)
    paste_nodule(hu, share, SPACING_MM, rng, nodules[7], centre)
    volume = float(share.sum()) * float(np.prod(SPACING_MM))
    assert volume == pytest.approx(np.pi / 6 * 12.0**3, rel=0.25)
    assert -60 < hu[share > 0.9].mean() < 40  # slices of 3 mm
    far = np.argwhere(hu != before) - centre
    assert np.abs(far * SPACING_MM).max() < 14
    assert (share * np.arange(len(share))[:, None, None]).sum() / share.sum() == pytest.approx(17.0, abs=0.3)
    assert lung_field(hu, SPACING_MM) is not None


def test_no_patient_is_on_both_sides_of_a_fold(
    backgrounds: list[Background], nodules: list[RealNodule], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_bank, "POSITIVE_SHARE", 0.2)  # of three patches the third is without a nodule
    assert [one.fold for one in backgrounds] == [0, 1]
    assert read_other_nodules(data, [dataclasses.replace(backgrounds[0], name=nodules[0].patient)])[0].patient == nodules[1].patient
    bank = real_bank.build_real_bank(backgrounds, nodules, tmp_path, seed=2, size=3, held=0, progress=lambda _: None)
    folds = np.concatenate([np.load(tmp_path / name / "fold.npy") for name in VOLUMES])
    assert bank.usable is not None
    assert not bank.usable[folds == 0].any()
    assert bank.usable[folds != 0].all()
    assert {fold_of(nodule.patient) for nodule in nodules} == {0, 1}
    for index in bank.indices(positive=True):
        hu, label = bank.patch(int(index))
        assert hu[label == NODULE].mean() > hu.min() + 100
    again = real_bank.build_real_bank(backgrounds, nodules, tmp_path, seed=2, size=3, progress=lambda line: pytest.fail(line))
    assert again.usable is None


def test_nodules_are_pasted_apart_and_away_from_marks(tumour: TrainingSeries, nodules: list[RealNodule]) -> None:
    hu, share, pasted = paste_nodules(tumour, nodules, np.random.default_rng(1), 3)
    assert len(pasted) >= 2
    assert (hu != tumour.hu).any()
    for number, one in enumerate(pasted):
        assert np.linalg.norm(np.subtract(one.centre, TUMOUR) * SPACING_MM) > 8 + one.diameter_mm / 2
        assert share[tuple(round(c) for c in one.centre)] > 0.3
        for other in pasted[number + 1 :]:
            assert np.linalg.norm(np.subtract(one.centre, other.centre) * SPACING_MM) > 18


def test_a_mark_finds_the_nearest_nodule_within_its_radius() -> None:
    targets = [((10.0, 10.0, 10.0), 20.0), ((10.0, 10.0, 15.0), 4.0)]
    assert nearest_target((10.0, 10.0, 12.0), targets, (1.0, 1.0, 1.0)) == 0
    assert nearest_target((10.0, 10.0, 14.0), targets, (1.0, 1.0, 1.0)) == 1
    assert nearest_target((10.0, 10.0, 12.0), targets, (1.0, 1.0, 20.0)) == -1


def scan() -> ExaminedScan:
    targets = (
        PresentNodule(8.0, "solid", "vessel", False),
        PresentNodule(5.0, "solid", "isolated", False),
        PresentNodule(30.0, "", "", True),
    )

    marks = ((0.9, 0, False), (0.5, 0, False), (0.8, -1, False), (0.7, -1, True), (0.6, 2, False), (0.3, -1, False))
    found = [ExaminedCandidate((0.0, 0.0, 40.0 * n), score, score, 8.0, target, doubt) for n, (score, target, doubt) in enumerate(marks)]
    return ExaminedScan("one", (1.0, 1.0, 1.0), targets, tuple(found))


def test_figures_by_size_with_false_uncertain_and_second_marks() -> None:
    figures = real_metrics([scan()], lambda one: one.first, 0.4)
    assert figures["false_positives_per_scan"] == 1.0
    assert figures["sensitivity"] == 0.5
    assert figures["at_1_false_per_scan"] == 0.5
    assert figures["uncertain_marks_per_scan"] == 1.0
    assert figures["second_marks_on_a_nodule_per_scan"] == 1.0
    assert figures["by_group"]["6_to_10_mm"] == {
        "n": 1, "found_at_1": 1.0, "found_at_4": 1.0, "found_at_8": 1.0, "found_at_the_operating_point": 1,
    }  # fmt: skip
    assert figures["by_group"]["4_to_6_mm"]["found_at_8"] == 0.0
    assert figures["by_group"]["marked_tumours"] == {
        "n": 1, "found_at_1": 1.0, "found_at_4": 1.0, "found_at_8": 1.0, "found_at_the_operating_point": 1,
    }  # fmt: skip
    assert figures["froc"][0] == [0.125, 0.5]
    assert figures["mean_sensitivity_of_the_froc"] == 0.5


def test_marks_of_one_nodule_count_once_as_the_model_reports_them() -> None:
    whole = scan()
    near = dataclasses.replace(whole, candidates=tuple(dataclasses.replace(one, centre=(0.0, 0.0, 0.0)) for one in whole.candidates))
    figures = real_metrics([near], lambda one: one.first, 0.1)
    assert (figures["sensitivity"], figures["false_positives_per_scan"], figures["second_marks_on_a_nodule_per_scan"]) == (0.5, 0.0, 0.0)
    farther = dataclasses.replace(near, spacing_mm=(1.0, 1.0, 5.0), candidates=near.candidates[:1] + whole.candidates[1:2])
    assert real_metrics([farther], lambda one: one.first, 0.1)["second_marks_on_a_nodule_per_scan"] == 1.0


def test_examined_scans_are_kept_as_json_and_come_back() -> None:
    assert scan_from(json.loads(json.dumps(dataclasses.asdict(scan())))) == scan()


def test_the_calibration_error_is_the_weighted_distance_of_probability_and_share() -> None:
    probabilities, truth = np.array([0.95, 0.95, 0.15, 0.15]), np.array([1.0, 0.0, 0.0, 0.0])
    assert calibration_error(probabilities, truth, np.ones(4)) == pytest.approx((0.9 + 0.3) / 4)
    assert calibration_error(probabilities, truth, np.array([9.0, 0.0, 1.0, 0.0])) == pytest.approx((0.45 + 0.15) / 10)


def test_the_combined_score_is_the_weighted_geometric_mean() -> None:
    assert combined_score(0.9, 0.4, 8.0, {"second_weight": 0.5}) == pytest.approx(0.6)
    assert combined_score(0.9, 0.4, 8.0, {"second_weight": 0.0}) == pytest.approx(0.9)


def test_a_card_with_coefficients_gives_probabilities() -> None:
    card = {"intercept": 0.5, "first_slope": 1.0, "second_slope": 0.5, "size_slope": -1.0}
    logit = 0.5 + np.log(0.9 / 0.1) + 0.5 * np.log(0.4 / 0.6) - np.log(8 / 6)
    assert combined_score(0.9, 0.4, 8.0, card) == pytest.approx(1 / (1 + np.exp(-logit)))
    assert combined_score(1.0, 1.0, 8.0, card) < 1.0


def test_no_more_false_marks_than_allowed_reach_the_operating_point() -> None:
    """A limit of three digits was rounded to itself in 736 of 1,000 cases, so that the mark at the limit counted too."""
    for limit in range(10_000):
        assert operating_point(limit / 10_000) > limit / 10_000
        assert operating_point(limit / 10_000) <= limit / 10_000 + 0.00101
    assert operating_point(0.0234) == 0.024
    assert operating_point(0.05) == 0.051


def test_a_volume_without_nodules_keeps_the_nodules_of_its_patient_out(data: Path, nodules: list[RealNodule]) -> None:
    """The name of the volume has a suffix that the patient's has not."""
    patient = nodules[0].patient
    for suffix in ("", "_neg"):
        volume = Background(f"{patient}{suffix}", 0, (), lambda: pytest.fail("it is not prepared"))
        left = {nodule.patient for nodule in read_other_nodules(data, [volume])}
        assert left == {nodule.patient for nodule in nodules} - {patient}
