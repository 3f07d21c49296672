"""Image files of a camera as DICOM photographs: kept or without loss, upright, without metadata."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from core.errors import PixelError
from deploy.cli.main import run
from deploy.demo.result_check import dciodvfy_errors
from deploy.demo.synthetic.lesion import make_lesion
from imaging.headers.identity import Identity
from imaging.photograph.camera_file import PhotographPlace, photograph_from_file
from imaging.photograph.file_kind import mismatch
from imaging.photograph.read import read_photograph
from imaging.photograph.skin_regions import skin_regions

WHO = Identity("P-1", "2.25.10", patient_name="Doe^Jane", study_date="20260102", study_time="1015")
SECRET = b"GPS 47.3769 N"


def _picture() -> Image.Image:
    return Image.open(io.BytesIO(make_lesion(3, size=(90, 120)).jpeg)).convert("RGB")


def _file(path: Path, kind: str = "JPEG", *, orientation: int = 1, **options: object) -> Path:
    picture = _picture()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, SECRET.decode()
    picture.save(path, kind, exif=exif, **options)  # type: ignore[arg-type]
    return path


def _made(path: Path, folder: Path, kind: str = "dermoscopy") -> Path:
    region = skin_regions()["cheek-L"]
    ds = photograph_from_file(path, PhotographPlace(WHO, "2.25.11", "2.25.12", kind, region=region))  # type: ignore[arg-type]
    ds.save_as(folder / "made.dcm", enforce_file_format=True)
    return folder / "made.dcm"


@pytest.mark.parametrize("kind", ["dermoscopy", "vl"])
def test_a_baseline_jpeg_keeps_its_bitstream_and_loses_its_metadata(tmp_path: Path, kind: str) -> None:
    source = _file(tmp_path / "a.jpg", quality=92, comment=b"made by Jane Doe")
    made = _made(source, tmp_path, kind)
    ds = pydicom.dcmread(made)
    frame = next(generate_frames(ds.PixelData, number_of_frames=1))
    scan = source.read_bytes().index(b"\xff\xda")
    assert source.read_bytes()[scan:] in frame
    assert SECRET not in made.read_bytes()
    assert b"Jane Doe" not in frame
    assert (ds.AnatomicRegionSequence[0].CodeMeaning, ds.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning) == (
        "Skin of cheek",
        "Left",
    )
    assert read_photograph(made).site == "face"
    assert dciodvfy_errors(made) == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {"progressive": True}), ("JPEG", {"orientation": 6}), ("PNG", {}), ("TIFF", {"compression": "tiff_lzw"})],
)
def test_every_other_image_is_stored_without_loss_and_upright(tmp_path: Path, kind: str, options: dict[str, object]) -> None:
    source = _file(tmp_path / "a", kind, **options)  # type: ignore[arg-type]
    made = _made(source, tmp_path)
    expected = read_photograph(source).rgb
    assert expected.shape == ((120, 90, 3) if "orientation" in options else (90, 120, 3))
    assert np.array_equal(read_photograph(made).rgb, expected)
    assert pydicom.dcmread(made).LossyImageCompression == ("01" if kind == "JPEG" else "00")
    assert SECRET not in made.read_bytes()
    assert dciodvfy_errors(made) == []


def test_a_colour_profile_is_written_to_the_header(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = _made(_file(tmp_path / "a.jpg", icc_profile=profile), tmp_path)
    assert pydicom.dcmread(made).ICCProfile.rstrip(b"\0") == profile.rstrip(b"\0")
    assert dciodvfy_errors(made) == []


def test_a_file_that_is_cut_short_too_large_or_grey_is_refused(tmp_path: Path) -> None:
    whole = _file(tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(17 << 20))
    _picture().convert("L").save(tmp_path / "grey.jpg")
    for name, words in (("cut.jpg", "cut short"), ("large.png", "at most 16 MB"), ("grey.jpg", "colour")):
        with pytest.raises(PixelError, match=words):
            _made(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a.jpg", b"\x89PNG\r\n\x1a\n", "named as JPEG, but its content is PNG"),
        ("a.jpg", b"<html>", "named as JPEG, but its content is not JPEG"),
        ("a.txt", b"hello", "neither DICOM"),
        ("a.dcm", b"", "the file is empty"),
        ("IM000001", b"\0" * 128 + b"DICM", ""),
        ("a.tiff", b"II*\0" + b"\0" * 124 + b"DICM", "named as TIFF, but its content is DICOM"),
    ],
)
def test_files_that_are_not_what_their_name_says(name: str, head: bytes, words: str) -> None:
    assert mismatch(name, head).startswith(words)
    assert bool(mismatch(name, head)) == bool(words)


def test_the_command_makes_one_study_and_names_what_it_cannot_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, broken = _file(tmp_path / "a.jpg"), _file(tmp_path / "b.png", "PNG"), tmp_path / "c.jpg"
    broken.write_bytes(b"no image")
    arguments = ["photograph", str(first), str(second), "--out", str(tmp_path / "out"), "--patient-id", "P-7", "--region", "lower-back"]
    assert run([*arguments, "--taken-on", "2026-01-02"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.split()]
    made = [pydicom.dcmread(path, stop_before_pixels=True) for path in paths]
    assert {(ds.PatientID, ds.StudyDate) for ds in made} == {("P-7", "20260102")}
    assert len({ds.StudyInstanceUID for ds in made}) == len({ds.SeriesInstanceUID for ds in made}) == 1
    contents = [path.read_bytes() for path in paths]
    assert run([*arguments, "--taken-on", "2026-01-02"]) == 0
    assert [path.read_bytes() for path in paths] == contents, "the same call makes the same objects"
    capsys.readouterr()
    assert run(["photograph", str(broken), "--out", str(tmp_path / "out")]) == 1
    assert "c.jpg: a JPEG, PNG or TIFF file is expected" in capsys.readouterr().err
    assert run(["photograph", str(first), "--out", str(tmp_path / "out"), "--region", "elsewhere"]) == 2
