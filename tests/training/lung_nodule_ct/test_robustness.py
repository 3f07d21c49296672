"""Thicker slices, less dose and partial coverage: the changes themselves, and the figures of a detector on changed volumes."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from models import registry
from models.card import read_card
from models.lung_nodule_ct.suitability import BY_ACQUISITION
from models.lung_nodule_ct.two_stages import TwoStageDetector
from tests.support.lung_like import SPACING_MM, TUMOUR, small_chest, write_lung_folder
from training.lung_nodule_ct.real import backgrounds as real_backgrounds
from training.lung_nodule_ct.real.backgrounds import read_backgrounds
from training.lung_nodule_ct.real.measurement.examination import ExaminedCandidate, ExaminedScan, PresentNodule
from training.lung_nodule_ct.real.measurement.robustness import (
    VariedScan,
    examine_variations,
    has_contrast,
    robustness_figures,
    write_to_card,
)
from training.lung_nodule_ct.real.measurement.variations import UNCHANGED, part, thick_slices, unchanged, with_dose
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank

FOLDER = registry.MODELS_FOLDER / "lung_nodule_ct"


def _noise(hu: np.ndarray) -> NoiseBank:
    return NoiseBank(hu, SPACING_MM, np.random.default_rng(1))


def test_places_are_given_back_on_the_grid_before_the_change() -> None:
    hu = np.repeat(np.arange(21, dtype=np.int16)[:, None, None], 8, axis=1).repeat(8, axis=2)
    thick, upper, same = (
        thick_slices(2 * SPACING_MM[0])(hu, SPACING_MM, _noise(hu), np.random.default_rng()),
        part(1 / 3, 1)(hu, SPACING_MM, _noise(hu), np.random.default_rng()),
        unchanged(hu, SPACING_MM),
    )
    assert (thick.hu.shape, thick.spacing_mm[0], thick.kept) == ((10, 8, 8), 2 * SPACING_MM[0], (0, 20))
    assert (upper.hu.shape, upper.spacing_mm, upper.kept) == ((14, 8, 8), SPACING_MM, (7, 21))
    for varied in (thick, upper, same):
        for z in (0, 3, 9):
            before = varied.before((float(z), 2.0, 3.0))
            assert before[1:] == (2.0, 3.0)
            assert abs(float(varied.hu[z, 0, 0]) - before[0]) <= 0.5  # the volume holds its own slice numbers


def test_a_thick_slice_is_the_mean_of_what_it_covers() -> None:
    hu = np.array([0, 30, 60, 90, 120, 150], np.int16)[:, None, None]
    thick = thick_slices(5.0)(hu, (3.0, 1.0, 1.0), _noise(small_chest()), np.random.default_rng())
    assert thick.hu[:, 0, 0].tolist() == [12, 60, 108]  # (3 * 0 + 2 * 30) / 5, (30 + 3 * 60 + 90) / 5, (2 * 90 + 3 * 120) / 5
    assert (thick.spacing_mm, thick.kept) == ((5.0, 1.0, 1.0), (0, 5))
    assert thick.before((2.0, 0.0, 0.0))[0] == pytest.approx(11 / 3)
    with pytest.raises(ValueError, match="at most 5 mm apart are needed, these are 6 mm apart"):
        thick_slices(5.0)(hu, (6.0, 1.0, 1.0), _noise(small_chest()), np.random.default_rng())


def test_half_of_the_dose_has_twice_the_variance_and_the_same_values() -> None:
    rng = np.random.default_rng(2)
    hu = (40 + rng.normal(0, 12, (30, 60, 60))).astype(np.int16)
    bank = NoiseBank(hu, SPACING_MM, rng)
    for share in (1 / 2, 1 / 4):
        noisy = with_dose(share)(hu, SPACING_MM, bank, rng).hu
        assert noisy.var() / hu.var() == pytest.approx(1 / share, rel=0.15)
        assert noisy.mean() == pytest.approx(hu.mean(), abs=1.0)


def test_contrast_is_read_from_the_middle_of_the_chest() -> None:
    hu = small_chest()
    assert not has_contrast(hu)
    z, y, x = hu.shape
    hu[z // 3 : 2 * z // 3, y // 4 : 3 * y // 4, x // 3 : 2 * x // 3] = 180
    assert has_contrast(hu)
    assert not has_contrast(np.full((9, 9, 9), -1000, np.int16))


def test_every_volume_is_examined_after_every_change_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_backgrounds, "series_folders", lambda _: [])
    background = read_backgrounds(write_lung_folder(tmp_path / "data"), 0)[1]
    card = read_card(FOLDER / "card.toml")
    detector = TwoStageDetector(FOLDER / card.weights, card.network)
    lower = part(0, 1 / 2)
    chosen = {UNCHANGED: unchanged, "thick": thick_slices(2 * SPACING_MM[0]), "lower": lower}
    found = examine_variations(detector, [background], [], card.thresholds, tmp_path / "out", variations=chosen, progress=lambda _: None)
    shown = {name: one.shown for name, (one,) in found.items()}
    assert shown == {UNCHANGED: (0,), "thick": (0,), "lower": (0,) if TUMOUR[0] < len(small_chest()) / 2 - 1 else ()}
    (whole,) = found[UNCHANGED]
    assert [target.diameter_mm for target in whole.scan.targets] == [16.0]
    for name in (UNCHANGED, "thick"):
        assert 0 in {candidate.target for candidate in found[name][0].scan.candidates}, "a ball of 16 mm is found"

    def prepared_again() -> None:
        raise AssertionError("the volume was kept")

    again = dataclasses.replace(background, prepare=prepared_again)
    assert examine_variations(detector, [again], [], card.thresholds, tmp_path / "out", variations=chosen) == found


def _scan(scores: list[float], false: float) -> ExaminedScan:
    targets = [
        PresentNodule(diameter, "solid", "isolated", marked)
        for diameter, marked in ((3.0, False), (5.0, False), (8.0, False), (30.0, True))
    ]
    marks = [(index, score) for index, score in enumerate(scores) if score] + [(-1, false)]
    found = tuple(ExaminedCandidate((0.0, 0.0, 30.0 * target), s, s, 6.0, target, False) for target, s in marks)
    return ExaminedScan("one", SPACING_MM, tuple(targets), found)


def test_shares_are_of_the_nodules_that_the_change_shows(tmp_path: Path) -> None:
    plain = VariedScan(_scan([0.9, 0.9, 0.9, 0.9], 0.6), (0, 1, 2, 3), True, False)
    cut = VariedScan(_scan([0.0, 0.0, 0.2, 0.9], 0.1), (0, 2, 3), True, False)
    figures = robustness_figures({UNCHANGED: [plain], "cut": [cut]}, lambda one: one.first, 0.5)
    assert figures[UNCHANGED] == {"volumes": 1, "nodules": 2, "found": 1.0, "found_as_acquired": 1.0, "false_positives_per_scan": 1.0}
    assert figures["cut"] == {"volumes": 1, "nodules": 1, "found": 0.0, "found_as_acquired": 1.0, "false_positives_per_scan": 0.0}
    assert set(figures) == {UNCHANGED, "cut", "volumes_with_contrast", "volumes_of_2_to_2_5_mm"}
    shutil.copyfile(FOLDER / "card.toml", tmp_path / "card.toml")
    figures["slices_of_5_mm"] = {**figures["cut"], "found": 0.4, "false_positives_per_scan": 7.6}
    for _ in range(2):
        write_to_card(tmp_path / "card.toml", figures)
    written, before = read_card(tmp_path / "card.toml"), read_card(FOLDER / "card.toml")
    assert written.metrics == {**before.metrics, BY_ACQUISITION: figures}
    (sentence,) = (limit for limit in written.limits if limit.startswith("With slices of 5 mm"))
    assert "found 0.40 of the nodules instead of 1.00, and marked 8 places in a series that are no nodule instead of 1." in sentence
    assert len(written.limits) == len(before.limits)
