"""``predict``: the columns of the read_csv, the JSON document, the exit status."""

import csv
import errno
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pydicom
import pytest

from core.records import Prediction
from core.states import Outcome, UnitKind
from deploy.cli.main import run
from deploy.offline.predict import UnitPrediction, predict_units, units_for
from deploy.offline.prediction_rows import table_rows
from deploy.offline.units import GatheredUnits, Unit
from models import registry
from models.card import ModelCard
from models.protocol import Model

BASE = ["path", "sop_instance_uid", "series_instance_uid", "label", "probability", "tier", "abstained", "reason"]
CLASSES = ["p_akiec", "p_bcc", "p_bkl", "p_df", "p_mel", "p_nv", "p_vasc"]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_one_row_per_image(skin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, document = tmp_path / "out.csv", tmp_path / "out.json"
    assert run(["predict", "dermoscopy_7class", str(skin_folder), "--csv", str(out), "--json", str(document), "--device", "cpu"]) == 0
    rows = read_csv(out)
    assert list(rows[0]) == [*BASE, *CLASSES]
    assert [Path(row["path"]).name for row in rows] == ["a.dcm", "b.jpg"]
    dataset = pydicom.dcmread(skin_folder / "a.dcm")
    assert (rows[0]["sop_instance_uid"], rows[0]["series_instance_uid"]) == (dataset.SOPInstanceUID, dataset.SeriesInstanceUID)
    assert rows[1]["sop_instance_uid"] == ""
    for row in rows:
        assert sum(float(row[name]) for name in CLASSES) == pytest.approx(1.0, abs=1e-4)
        if row["abstained"] == "false":
            assert float(row["probability"]) == pytest.approx(max(float(row[name]) for name in CLASSES), abs=1e-6)
            assert row["tier"] in {"high", "review", "uncertain"}
        else:
            assert row["reason"]
    prediction = json.loads(document.read_text())
    assert [item["model"] for item in prediction] == ["dermoscopy_7class"] * 2
    assert len(prediction[0]["model_digest"]) == 64
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    assert "1 files that are neither DICOM nor images" in stderr


def test_without_a_file_the_table_goes_to_standard_output(skin_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "dermoscopy_7class", str(skin_folder / "b.jpg")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == ",".join([*BASE, *CLASSES])
    assert len(lines) == 2


def test_one_row_per_finding_of_a_series(chest_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run(["predict", "lung_nodule_ct", str(chest_folder), "--csv", str(out)]) == 0
    rows = read_csv(out)
    assert list(rows[0])[: len(BASE) + 4] == [*BASE, "x_mm", "y_mm", "z_mm", "diameter_mm"]
    uid = str(pydicom.dcmread(next(chest_folder.iterdir())).SeriesInstanceUID)
    assert {(row["series_instance_uid"], row["sop_instance_uid"], row["path"]) for row in rows} == {(uid, "", str(chest_folder))}
    found = [row for row in rows if row["label"]]
    assert found or len(rows) == 1
    assert all(row["probability"] == row["score"] and 0 < float(row["score"]) <= 1 for row in found), (
        "an uncalibrated score is in both columns"
    )
    assert all(float(row["diameter_mm"]) > 0 and row["x_mm"] and row["y_mm"] and row["z_mm"] for row in found)


def test_a_file_that_cannot_be_analysed_has_a_row_with_the_reason(
    skin_folder: Path, chest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, slice_file = tmp_path / "out.csv", next(chest_folder.iterdir())
    assert run(["predict", "dermoscopy_7class", str(skin_folder / "b.jpg"), str(slice_file), "--csv", str(out)]) == 1
    good, bad = read_csv(out)
    assert good["label"] or good["abstained"] == "true"
    assert bad["label"] == ""
    assert bad["abstained"] == "false"
    assert bad["reason"]
    assert "not analysed" in capsys.readouterr().err


def test_an_image_file_is_not_a_series(skin_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run(["predict", "lung_nodule_ct", str(skin_folder / "b.jpg"), "--csv", str(out)]) == 1
    (row,) = read_csv(out)
    assert "CT series" in row["reason"]


def test_grey_slices_and_a_series_by_one_model(chest_folder: Path, skin_folder: Path, tmp_path: Path) -> None:
    """`lung_histology_ct` takes both; a photograph of skin is not analysed."""
    from PIL import Image

    out, folder = tmp_path / "out.csv", tmp_path / "slices"
    folder.mkdir()
    hu = pydicom.dcmread(sorted(chest_folder.iterdir())[12]).pixel_array.astype(float) - 1024
    grey = ((hu.clip(-1000, 1000) + 1000) * (255 / 2000)).astype("uint8")
    Image.fromarray(grey).save(folder / "slice.png")
    (folder / "skin.jpg").write_bytes((skin_folder / "b.jpg").read_bytes())
    assert run(["predict", "lung_histology_ct", str(folder), str(chest_folder), "--csv", str(out), "--device", "cpu"]) == 0
    classes = ["p_adenocarcinoma", "p_large_cell_carcinoma", "p_squamous_cell_carcinoma", "p_normal"]
    skin, one, series = read_csv(out)
    assert list(one) == [*BASE, *classes]
    assert (skin["label"], skin["abstained"]) == ("", "true")
    assert "colour" in skin["reason"]
    assert one["series_instance_uid"] == ""
    assert series["series_instance_uid"] == str(pydicom.dcmread(next(chest_folder.iterdir())).SeriesInstanceUID)
    for row in (one, series):
        probabilities = [float(row[name]) for name in classes if row[name]]
        assert row["abstained"] == "true" or row["label"]
        assert row["reason"] if row["abstained"] == "true" else sum(probabilities) == pytest.approx(1.0, abs=1e-4)


def test_no_finding_of_a_classifier_has_its_class_but_not_tier_high() -> None:
    card = registry.card("lung_histology_ct")
    names = [label.name for label in card.labels]
    unit = Unit(UnitKind.IMAGE, (Path("slice.png"),))
    prediction = Prediction(Outcome.NO_FINDING, probabilities=dict(zip(names, (0.03, 0.03, 0.03, 0.91), strict=True)))
    (row,) = table_rows(card, UnitPrediction(unit, prediction))
    assert (row["label"], row["probability"], row["abstained"]) == ("normal", 0.91, "false")
    assert row["tier"] == "review", "never high while a carcinoma is not excluded"
    undecided = Prediction(Outcome.ABSTAINED, probabilities=prediction.probabilities, reason="undecided")
    (row,) = table_rows(card, UnitPrediction(unit, undecided))
    assert (row["label"], row["tier"], row["abstained"], row["p_normal"]) == ("", "", "true", 0.91)


def test_nothing_to_analyse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "dermoscopy_7class", str(tmp_path)]) == 1
    assert "nothing to analyse" in capsys.readouterr().err


def test_a_table_that_cannot_be_written(skin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "dermoscopy_7class", str(skin_folder / "b.jpg"), "--csv", str(tmp_path / "no" / "out.csv")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_a_file_of_another_kind_is_named_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where its name ends like that of an image; a reader of DICOM would only say which attributes are missing."""
    letter, renamed = tmp_path / "letter.txt", tmp_path / "letter.jpg"
    letter.write_text("Dear colleague, " * 20)
    renamed.write_text("Dear colleague, " * 20)
    assert run(["predict", "dermoscopy_7class", str(letter), str(renamed)]) == 1
    lines = capsys.readouterr().err.splitlines()
    for path, line in zip((letter, renamed), lines, strict=False):
        assert line.startswith(f"{path}: not read: its content is neither DICOM (the prefix DICM is missing) nor a JPEG, PNG or TIFF image")
    assert "there is nothing to analyse" in lines[-1]


SAID = "cannot be read: Input/output error (see the disk that holds it, then run the command again)"
FAILING_DISK = "/proc/self/mem"  # a file that can be opened, and whose bytes give EIO


def fail_from_now_on(path: Path) -> None:
    path.unlink()
    path.symlink_to(FAILING_DISK)


def test_a_file_whose_disk_fails_is_named_and_the_others_are_analysed(
    skin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.jpg").symlink_to(FAILING_DISK)
    out = tmp_path / "out.csv"
    assert run(["predict", "dermoscopy_7class", str(skin_folder / "b.jpg"), str(tmp_path / "broken.jpg"), "--csv", str(out)]) == 1
    assert capsys.readouterr().err.splitlines()[0] == f"{tmp_path / 'broken.jpg'}: not read: the file {SAID}"
    assert [Path(row["path"]).name for row in read_csv(out)] == ["b.jpg"]


@pytest.mark.parametrize("name", ["a.dcm", "b.jpg"])
def test_a_disk_that_fails_after_the_files_were_listed(
    skin_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    file, out = shutil.copy(skin_folder / name, tmp_path / name), tmp_path / "out.csv"

    def listed(card: ModelCard, paths: Sequence[Path]) -> GatheredUnits:
        found = units_for(card, paths)
        fail_from_now_on(file)
        return found

    monkeypatch.setattr("deploy.offline.predict.units_for", listed)
    assert run(["predict", "dermoscopy_7class", str(file), "--csv", str(out)]) == 1
    assert f"{file}: not analysed: the file {SAID}" in capsys.readouterr().err.splitlines()
    (row,) = read_csv(out)
    assert row["reason"] == f"the file {SAID}"


class NetworkThatReads:
    """A model that reads a file when it predicts, as those of slides read tiles."""

    def __init__(self, model: str, file: Path) -> None:
        self.card, self._file = registry.card(model), file

    def predict(self, _items: Sequence[object]) -> list[Prediction]:
        self._file.read_bytes()
        return [Prediction(Outcome.NO_FINDING)]


def test_the_file_of_a_series_that_cannot_be_read_is_named(chest_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "series"
    shutil.copytree(chest_folder, folder)
    model = NetworkThatReads("lung_nodule_ct", tmp_path)
    (unit,) = units_for(model.card, [folder]).units
    fail_from_now_on(unit.paths[7])
    (found,) = predict_units(cast(Model, model), [unit])
    assert (found.prediction.outcome, found.prediction.reason) == (Outcome.NOT_ANALYSED, f"{unit.paths[7]} {SAID}")


def test_a_file_that_cannot_be_read_while_the_model_computes(chest_folder: Path) -> None:
    model = NetworkThatReads("lung_nodule_ct", Path(FAILING_DISK))
    (unit,) = units_for(model.card, [chest_folder]).units
    (found,) = predict_units(cast(Model, model), [unit])
    assert found.prediction.outcome is Outcome.NOT_ANALYSED
    assert found.prediction.reason == f"one of 24 files {SAID}"


def test_an_image_file_that_cannot_be_read_to_its_end(skin_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder of image files raises such an error as one of a damaged file."""
    model = NetworkThatReads("dermoscopy_7class", skin_folder)
    (unit,) = units_for(model.card, [skin_folder / "b.jpg"]).units

    def fail(*_given: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    (found,) = predict_units(cast(Model, model), [unit])
    assert found.prediction.reason == f"the file {SAID}"
