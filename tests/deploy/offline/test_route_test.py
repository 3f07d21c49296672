"""``rules test``: the decision of every route with its reason."""

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from deploy.cli.main import run
from deploy.offline.units import GatheredUnits, gather_units
from tests.support.real_data import shared_data


def run_rules_test(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> Any:
    assert run(["rules", "test", "--json", *map(str, arguments)]) == status
    return json.loads(capsys.readouterr().out)


def test_every_condition_is_explained_for_a_series(chest_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (unit,) = run_rules_test(capsys, chest_folder, "--config", config)["units"]
    assert (unit["kind"], unit["instances"], unit["taken_by"]) == ("series", 24, ["chest CT"])
    chest, skin = unit["routes"]
    assert chest["why"] == [
        "[yes] Modality is CT, wanted CT",
        "[yes] body part is the chest: BodyPartExamined 'CHEST' names the chest",
        "[yes] SliceThickness is 5, wanted at most 5",
    ]
    assert not skin["takes"]
    assert any(line.startswith("[no]") for line in skin["why"])


def copied(folder: Path, target: Path, **changes: str) -> Path:
    """Copy a series without Body Part Examined and descriptions, and with ``changes``."""
    target.mkdir()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        for keyword in ("BodyPartExamined", "StudyDescription", "SeriesDescription", "ProtocolName"):
            if keyword in dataset:
                del dataset[keyword]
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.save_as(target / path.name)
    return target


def body_part_line(unit: Any) -> str:
    (line,) = [line for line in unit["routes"][0]["why"] if "body part is" in line]
    return str(line)


def test_the_lungs_in_the_image_decide_where_the_header_is_silent(
    chest_folder: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (unit,) = run_rules_test(capsys, copied(chest_folder, tmp_path / "silent"), "--config", config)["units"]
    assert unit["taken_by"] == ["chest CT"]
    assert re.match(
        r"\[yes\] body part is the chest: the header names no part of the body; by the image: \d\.\d l of air-filled lung on \d+ % "
        r"of the series' length, in 24 images looked at",
        body_part_line(unit),
    )


def test_a_description_decides_before_the_image(
    chest_folder: Path, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (unit,) = run_rules_test(capsys, copied(chest_folder, tmp_path / "named", StudyDescription="TDM thoracique"), "--config", config)[
        "units"
    ]
    assert body_part_line(unit) == "[yes] body part is the chest: StudyDescription 'TDM thoracique' names the chest"
    (unit,) = run_rules_test(capsys, copied(chest_folder, tmp_path / "head", SeriesDescription="Schädel"), "--config", config)["units"]
    assert (body_part_line(unit), unit["taken_by"]) == (
        "[no]  body part is not the chest: SeriesDescription 'Schädel' names another part",
        [],
    )


def test_every_real_chest_series_matches_and_nothing_else(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the two series, one names the chest; of the phantom, only the image shows it. The single images are of other parts or no CT."""
    data = shared_data()
    patient, phantom = sorted(path for path in (data / "ct").iterdir() if path.is_dir())
    (unit,) = run_rules_test(capsys, patient, "--config", config)["units"]
    assert (unit["taken_by"], body_part_line(unit)) == (
        ["chest CT"],
        "[yes] body part is the chest: BodyPartExamined 'CHEST' names the chest",
    )
    (unit,) = run_rules_test(capsys, phantom, "--config", config)["units"]
    assert unit["taken_by"] == ["chest CT"]
    assert "by the image: 4." in body_part_line(unit)
    other = data / "conformance" / "pydicom-data"
    files = [other / name for name in ("explicit_VR-UN.dcm", "bad_sequence.dcm", "693_UNCR.dcm", "eCT_Supplemental.dcm")]
    for unit in run_rules_test(capsys, *files, "--config", config)["units"]:
        assert unit["taken_by"] == []
        assert body_part_line(unit).startswith("[no]")


def test_the_source_is_part_of_the_decision(skin_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = skin_folder / "a.dcm"
    (unit,) = run_rules_test(capsys, file, "--config", config, "--source", "CAMERA")["units"]
    assert (unit["kind"], unit["taken_by"]) == ("image", ["skin"])
    (unit,) = run_rules_test(capsys, file, "--config", config, "--source", "PACS")["units"]
    assert unit["taken_by"] == []


def test_text_goes_to_standard_error(chest_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", str(chest_folder), "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "route 'chest CT' SELECTS it: lung_nodule_ct -> pacs, routine" in err
    assert "route 'skin' does not select it" in err


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
    units = run_rules_test(capsys, chest_folder, thick, "--config", config)["units"]
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
    found = run_rules_test(capsys, chest_folder, broken, tmp_path / "b.jpg", "--config", config, status=1)
    assert [Path(item["path"]).name for item in found["unread"]] == ["broken.dcm", "b.jpg"]
    assert len(found["units"]) == 1


def test_a_file_whose_disk_fails_is_named(
    chest_folder: Path,
    skin_folder: Path,
    config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before its header was read, and when the header decides nothing and its image is looked at."""
    series = copied(chest_folder, tmp_path / "silent")
    said = "cannot be read: Input/output error (see the disk that holds it, then run the command again)"
    (tmp_path / "broken.dcm").symlink_to("/proc/self/mem")

    def listed(paths: Sequence[Path]) -> GatheredUnits:
        found = gather_units(paths)
        first = found.units[0].paths[0]
        first.unlink()
        first.symlink_to("/proc/self/mem")
        return found

    monkeypatch.setattr("deploy.offline.route_test.gather_units", listed)
    found = run_rules_test(capsys, series, tmp_path / "broken.dcm", skin_folder / "a.dcm", "--config", config, status=1)
    named = {item["path"]: item["reason"] for item in found["unread"]}
    assert named[str(tmp_path / "broken.dcm")] == f"the file {said}"
    assert named[str(series)].endswith(f".dcm {said}")


def test_a_sender_that_is_no_source_is_named(skin_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The routes alone would say that its images are analysed, and the listener rejects its associations."""
    config.write_text(config.read_text() + '\n[[sources]]\nae_title = "CAMERA"\nhost = "10.0.0.0/8"\n')
    refused = "no [[sources]] has the AE title 'NOBODY': its associations would be rejected"
    for title, said in (("NOBODY", True), ("CAMERA", False)):
        run(["rules", "test", str(skin_folder / "a.dcm"), "--config", str(config), "--source", title])
        assert (refused in capsys.readouterr().err) is said


def test_no_readable_file_is_exit_1(skin_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rules", "test", str(skin_folder / "notes.txt"), "--config", str(config)]) == 1
    assert "none of these files" in capsys.readouterr().err


def test_the_example_route_for_research_selects_a_chest_in_addition(
    chest_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example_file = (Path(__file__).parents[3] / "deploy" / "conf" / "node.toml").read_text(encoding="utf-8")
    shown, example = example_file.split('# [[destinations]]\n# name = "research"\n')
    lines = ["[[destinations]]", 'name = "research"', *(line.removeprefix("#").removeprefix(" ") for line in example.splitlines())]
    path = tmp_path / "node.toml"
    path.write_text(shown + "\n".join(lines) + "\n", encoding="utf-8")
    assert run(["rules", "test", str(chest_folder), "--config", str(path)]) == 0
    text = capsys.readouterr().err
    assert "route 'chest CT, histology' SELECTS it: lung_histology_ct -> research, routine" in text
    assert "route 'chest CT' SELECTS it: lung_nodule_ct -> test-pacs" in text


def test_a_route_that_compares_says_with_what(chest_folder: Path, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text().replace('per_study = "best"', 'per_study = "best"\npriors = { count = 2, within_days = 365 }'))
    (unit,) = run_rules_test(capsys, chest_folder, "--config", config)["units"]
    assert unit["routes"][0]["priors"] == {"count": 2, "within_days": 365, "same": ["Modality"], "unique_ids": False}
    assert unit["routes"][1]["priors"] is None
    assert run(["rules", "test", str(chest_folder), "--config", str(config)]) == 0
    assert "Compare with up to 2 earlier results of the patient by this model" in capsys.readouterr().err
