"""Second examinations that are made from a first one, and what is counted of the matches in them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.policy.priors.finding_matches import PlacedFinding
from core.records import Change, OrganPlace
from tests.support.lung_like import SPACING_MM, small_chest, write_lung_folder
from training.lung_nodule_ct.real import backgrounds as real_backgrounds
from training.lung_nodule_ct.real.backgrounds import read_backgrounds, read_other_nodules
from training.lung_nodule_ct.repeat import measure
from training.lung_nodule_ct.repeat.grown import judge_growth, paste_twice
from training.lung_nodule_ct.repeat.measure import SeenFinding, compare, summarise, true_partners
from training.lung_nodule_ct.repeat.second_examination import REPOSITIONINGS, Repositioning, examine_again

BALL = (17, 40, 36)  # native (z, y, x) in the right lung of `small_chest`
BEYOND_ALL = {"beyond_1.5": 1, "beyond_1.7": 1, "beyond_2": 1, "beyond_2.2": 1}  # a volume of 2.5 times another one


def chest_with_ball() -> np.ndarray:
    hu = small_chest()
    z, y, x = np.ogrid[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    hu[((z - BALL[0]) * 3) ** 2 + ((y - BALL[1]) * 2) ** 2 + ((x - BALL[2]) * 2) ** 2 < 9**2] = 900
    return hu


@pytest.mark.parametrize("name", REPOSITIONINGS)
def test_a_place_of_the_second_examination_is_found_again_in_the_first(name: str) -> None:
    again = examine_again(chest_with_ball(), SPACING_MM, REPOSITIONINGS[name])
    middle = np.argwhere(again.hu > 600).mean(axis=0)
    found = again.in_first((float(middle[0]), float(middle[1]), float(middle[2])))
    assert np.subtract(found, BALL) * SPACING_MM == pytest.approx((0, 0, 0), abs=2.0)
    moved = np.linalg.norm((middle * again.spacing_mm) - np.multiply(BALL, SPACING_MM))
    assert moved > 1.0, "it lies elsewhere in the second one"


def test_nothing_changes_without_a_change() -> None:
    hu = chest_with_ball()
    again = examine_again(hu, SPACING_MM, Repositioning())
    assert (again.hu == hu).all()
    assert again.in_first((5.0, 6.0, 7.0)) == pytest.approx((5.0, 6.0, 7.0))


def seen(number: int, height: float, *, volume_mm3: float = 200.0, off_mm: float = 0.0) -> SeenFinding:
    """A finding at a height of the right lung; ``off_mm``: how far its true place in the first examination is from there."""
    place = OrganPlace((0.5, 0.5, height), (100.0, 150.0, 200.0))
    return SeenFinding(PlacedFinding(number, "Right", place, 8.0), (200.0 * height + off_mm, 50.0, 50.0), volume_mm3)


def test_what_is_counted() -> None:
    first = [seen(1, 0.1), seen(2, 0.5), seen(3, 0.9)]
    second = [seen(1, 0.11, volume_mm3=500.0), seen(2, 0.5, off_mm=12.0), seen(3, 0.7)]
    spacing = (1.0, 1.0, 1.0)
    assert true_partners(first, second, spacing) == {1: 1}
    outcomes = compare(first, second, spacing)
    assert [word for word, _, _ in outcomes] == ["right", "wrong", "none"]
    assert outcomes[0][1:] == (2.5, Change.LARGER)
    hidden = [first[0], replace(first[1], placed=replace(first[1].placed, side="")), first[2]]
    assert [word for word, _, _ in compare(hidden, [seen(2, 0.5)], spacing)] == ["missing"]
    assert summarise(outcomes) == {
        "right": 1, "wrong": 1, "missing": 0, "none": 1, "called_changed": 1, **BEYOND_ALL, "ratio_50": 2.5, "ratio_95": 2.5,
    }  # fmt: skip
    assert summarise([])["right"] == 0


def test_the_whole_measurement_on_made_up_volumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept findings are not made again."""
    monkeypatch.setattr(real_backgrounds, "series_folders", lambda _: [])
    monkeypatch.setattr(measure, "BOTH", 2)
    monkeypatch.setattr(measure, "ONE", 1)
    monkeypatch.setattr(measure, "REPOSITIONINGS", {"little": REPOSITIONINGS["little"]})
    said: list[str] = []
    data, out = write_lung_folder(tmp_path / "data"), tmp_path / "out"
    figures = measure.measure(data, out, progress=said.append)
    assert set(figures) == {"little", "all"}
    assert len(said) == 1
    assert json.loads((out / "repeated.json").read_text()) == figures
    assert measure.measure(data, out, progress=said.append) == figures
    assert len(said) == 1


def test_growth_is_counted_where_the_nodule_is_marked_in_both_and_matched() -> None:
    first, spacing = [seen(1, 0.1), seen(2, 0.5), seen(3, 0.9)], (1.0, 1.0, 1.0)
    second = [seen(1, 0.11, volume_mm3=500.0), seen(2, 0.5, volume_mm3=220.0)]
    centres = [(20.0, 50.0, 50.0), (100.0, 50.0, 50.0), (180.0, 50.0, 50.0), (150.0, 50.0, 50.0)]
    counted = {"pasted": 4, "marked": 2, "matched": 2, "larger": 1, "within_error": 1}
    assert judge_growth(first, second, centres, spacing) == counted | BEYOND_ALL


def test_the_second_chest_has_the_same_nodules_with_more_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_backgrounds, "series_folders", lambda _: [])
    data = write_lung_folder(tmp_path / "data")
    backgrounds = read_backgrounds(data, 0)
    series, nodules = backgrounds[0].prepare(), read_other_nodules(data, backgrounds)
    first, second, centres = paste_twice(series, nodules, np.random.default_rng(3), 1, 4.0)
    assert len(centres) == 1
    volumes = [int((hu > series.hu + 200).sum()) for hu in (first, second)]
    assert 2.0 < volumes[1] / volumes[0] < 6.0
