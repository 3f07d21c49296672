"""`rules test`: the same answer as the node's, with its reason, and nothing stored."""

import json
import shutil
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from deploy.cli.main import run


def ask(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> Any:
    assert run(["rules", "test", "--json", *map(str, arguments)]) == status
    return json.loads(capsys.readouterr().out)


def test_a_series_is_one_unit_and_every_condition_is_explained(
    chest_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (unit,) = ask(capsys, chest_folder, "--config", config)["units"]
    assert (unit["kind"], unit["instances"], unit["taken_by"]) == ("series", 24, ["chest CT"])
    chest, skin = unit["routes"]
    assert chest["why"] == [
        "[yes] Modality is CT, wanted CT",
        "[yes] BodyPartExamined is CHEST, wanted CHEST or THORAX",
        "[yes] SliceThickness is 5, wanted at most 5",
    ]
    assert not skin["takes"]
    assert any(line.startswith("[no]") for line in skin["why"])


def test_the_source_counts(skin_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = skin_folder / "a.dcm"
    (unit,) = ask(capsys, file, "--config", config, "--source", "CAMERA")["units"]
    assert (unit["kind"], unit["taken_by"]) == ("image", ["skin"])
    (unit,) = ask(capsys, file, "--config", config, "--source", "PACS")["units"]
    assert unit["taken_by"] == []


def test_in_words_on_standard_error(chest_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", str(chest_folder), "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "route 'chest CT' TAKES it: lung_nodule_ct -> pacs, routine" in err
    assert "route 'skin' does not take it" in err


def test_only_the_best_series_of_a_study(chest_folder: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second series of the study with half the slices and twice the thickness is passed over, with the reason."""
    thick = tmp_path / "thick"
    thick.mkdir()
    series = generate_uid(entropy_srcs=["thick"])
    for path in sorted(chest_folder.iterdir())[::2]:
        dataset = pydicom.dcmread(path)
        dataset.SeriesInstanceUID, dataset.SliceThickness, dataset.SeriesNumber = series, "4.9", 9
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path)])
        dataset.save_as(thick / path.name)
    units = ask(capsys, chest_folder, thick, "--config", config)["units"]
    assert sorted(len(unit["taken_by"]) for unit in units) == [0, 1]
    (lost,) = [unit for unit in units if not unit["taken_by"]]
    assert lost["routes"][0]["claims"]
    assert "series" in lost["routes"][0]["why"][-1]


def test_a_file_that_cannot_be_read_is_named(
    chest_folder: Path, skin_folder: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM" + b"rubbish")
    shutil.copy(skin_folder / "b.jpg", tmp_path / "b.jpg")
    found = ask(capsys, chest_folder, broken, tmp_path / "b.jpg", "--config", config, status=1)
    assert [Path(item["path"]).name for item in found["unread"]] == ["broken.dcm", "b.jpg"]
    assert len(found["units"]) == 1


def test_nothing_to_judge_is_a_failure(skin_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", str(skin_folder / "notes.txt"), "--config", str(config)]) == 1
    assert "none of these files" in capsys.readouterr().err


def test_the_example_route_for_research_takes_a_chest_beside_the_other(
    chest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(__file__).parents[3] / "deploy" / "conf" / "node.toml").read_text(encoding="utf-8")
    shown, example = text.split('# [[destinations]]\n# name = "research"\n')
    lines = ["[[destinations]]", 'name = "research"', *(line.removeprefix("#").removeprefix(" ") for line in example.splitlines())]
    path = tmp_path / "node.toml"
    path.write_text(shown + "\n".join(lines) + "\n", encoding="utf-8")
    assert run(["rules", "test", str(chest_folder), "--config", str(path)]) == 0
    words = capsys.readouterr().err
    assert "route 'chest CT, histology' TAKES it: lung_histology_ct -> research, routine" in words
    assert "route 'chest CT' TAKES it: lung_nodule_ct -> test-pacs" in words
