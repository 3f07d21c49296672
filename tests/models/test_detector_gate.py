"""The regression gate of a detector: two versions are compared in the same held-out scans, and a worse one is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from models.regression import MARKS_FILE
from models.regression.change import MetricChange
from models.regression.detector_changes import compare_marks, false_mark_limits, sensitivities_at
from models.regression.gate import compare_folders, require_not_worse
from models.regression.stored_marks import PresentNodule, StoredMark, StoredScan, read_marks, save_marks, sort_marks

SCANS, NODULES = 5, 30


def made_marks(skill: float, *, name: str = "scan") -> list[StoredScan]:
    """Marks of a detector that finds more nodules with more ``skill`` (0..1), and has ten false marks in each scan at any skill."""
    scans = []
    for number in range(SCANS):
        rng = np.random.default_rng(number)
        nodules = tuple(
            PresentNodule(float(size), "solid", "pleural" if index % 2 else "isolated", False)
            for index, size in enumerate(rng.uniform(3, 15, NODULES))
        )
        marks = [StoredMark(float(rng.uniform(0.5, 1)), index, False) for index in range(NODULES) if rng.random() < skill]
        false = [StoredMark(float(value), -1, False) for value in np.random.default_rng(100 + number).uniform(0, 0.6, 10)]
        scans.append(StoredScan(f"{name} {number}", nodules, (*marks, *false, StoredMark(0.99, -1, True))))
    return scans


def folder(tmp_path: Path, name: str, scans: list[StoredScan]) -> Path:
    (tmp_path / name).mkdir()
    save_marks(scans, tmp_path / name)
    return tmp_path / name


def test_a_worse_detector_is_refused_with_the_figures(tmp_path: Path) -> None:
    good, bad = folder(tmp_path, "good", made_marks(0.9)), folder(tmp_path, "bad", made_marks(0.4))
    with pytest.raises(
        ModelError, match=r"lung 2 is worse than the active version on 1\d\d held-out cases: mean sensitivity of the froc 0\."
    ):
        require_not_worse(good, bad, "lung 2")
    require_not_worse(bad, good, "lung 1")
    require_not_worse(good, good, "lung 1")


def test_scans_of_one_volume_are_redrawn_together(tmp_path: Path) -> None:
    """A version that is better in one volume of two is not shown to be better by scanning that volume five times."""
    old = [*made_marks(0.4, name="a"), *made_marks(0.4, name="b")]
    new = [*made_marks(0.9, name="a"), *made_marks(0.4, name="b")]

    def change(own_volumes: bool) -> MetricChange:
        sides = [[replace(scan, volume=scan.scan if own_volumes else scan.scan[0]) for scan in scans] for scans in (old, new)]
        return compare_marks(*sides)[0]

    apart, together = change(own_volumes=True), change(own_volumes=False)
    assert apart.difference == together.difference > 0.1
    assert apart.low > 0.05
    assert together.low <= 0.0
    stored = read_marks(folder(tmp_path, "new", [replace(new[0], volume="a")]))
    assert stored is not None
    assert stored[0].volume == "a"


def test_changes_are_given_over_all_and_by_size_kind_and_place(tmp_path: Path) -> None:
    changes = compare_folders(folder(tmp_path, "old", made_marks(0.4)), folder(tmp_path, "new", made_marks(0.9)))
    large = sum(nodule.diameter_mm >= 4 for scan in made_marks(0) for nodule in scan.nodules)
    assert [one.cases for one in changes if not one.subgroup] == [large, large]
    assert {one.subgroup for one in changes} == {
        "", "4 to 6 mm", "6 to 10 mm", "10 to 20 mm", "kind solid", "place isolated", "place pleural",
    }  # fmt: skip
    for one in changes:
        assert one.low <= one.difference <= one.high
        assert one.difference > 0.2
        assert not one.is_worse


def test_sensitivity_counts_nodules_above_the_limit_of_false_marks() -> None:
    false = StoredMark(0.8, -1, False), StoredMark(0.4, -1, False), StoredMark(0.3, -1, False), StoredMark(0.1, -1, False)
    limits = false_mark_limits([sort_marks([StoredScan("a", (), false)]), sort_marks([StoredScan("b", (), ())])])
    assert limits.tolist() == [0.8, 0.8, 0.4, 0.3, 0.0, 0.0, 0.0], "of two scans: 0, 0, 1, 2, 4, 8 and 16 false marks are allowed"
    missed = 0.0
    assert sensitivities_at(np.array([0.9, 0.5, 0.2, missed]), limits).tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75]


def test_marks_are_sorted_by_what_they_are() -> None:
    nodule = PresentNodule(8.0, "solid", "isolated", False)
    marks = (StoredMark(0.7, 0, False), StoredMark(0.9, 0, False), StoredMark(0.3, -1, False), StoredMark(0.4, -1, True))
    found = sort_marks([StoredScan("a", (nodule, nodule), marks)])
    assert found.found.tolist() == [0.9, 0.0]
    assert (found.false.tolist(), found.uncertain.tolist(), found.double.tolist()) == ([0.3], [0.4], [0.7])


def test_detectors_are_compared_in_common_scans_only(tmp_path: Path) -> None:
    old = folder(tmp_path, "old", made_marks(0.9))
    assert compare_folders(old, folder(tmp_path, "other", made_marks(0.1, name="other"))) == ()
    require_not_worse(old, tmp_path / "nothing stored", "an import without marks")


def test_marks_are_read_back_and_damage_is_named(tmp_path: Path) -> None:
    place = folder(tmp_path, "a", made_marks(0.5))
    assert read_marks(place) == tuple(made_marks(0.5))
    file = place / MARKS_FILE
    whole = file.read_text()
    file.write_text(whole[:-100])
    with pytest.raises(ModelError, match="cannot be read"):
        read_marks(place)
    file.write_text(whole.replace('"nodule": 0', '"nodule": 30'))
    with pytest.raises(ModelError, match="not listed"):
        read_marks(place)
