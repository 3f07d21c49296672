from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from core.errors import CannotUnderstand
from deploy.demo.synthetic.lesion import lesion_dataset
from imaging.pixels.same_content import same_content
from tests.support.transcode import LOSSLESS, transcode


@pytest.fixture
def original(series: list[Path]) -> Path:
    return series[4]


def changed(original: Path, tmp_path: Path, **attributes: object) -> Path:
    ds = pydicom.dcmread(original)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    path = tmp_path / "changed.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("name", LOSSLESS)
def test_another_transfer_syntax_is_the_same_content(original: Path, tmp_path: Path, name: str) -> None:
    ds = pydicom.dcmread(original)
    ds.add_new(0x00291010, "OB", b"\1\2\3\4")
    block = ds.private_block(0x0031, "TEST", create=True)
    block.add_new(1, "US", 7)
    ds.ReferencedImageSequence = [Dataset()]
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"
    first, second = tmp_path / "a.dcm", tmp_path / "b.dcm"
    ds.save_as(first, enforce_file_format=True)
    transcode(ds, name).save_as(second, enforce_file_format=True)
    assert same_content(first, second)
    assert same_content(second, first)


def test_other_pixels_are_other_content(original: Path, tmp_path: Path) -> None:
    values = np.frombuffer(pydicom.dcmread(original).PixelData, "<u2").copy()
    values[100] += 1
    assert not same_content(original, changed(original, tmp_path, PixelData=values.tobytes()))


@pytest.mark.parametrize(
    "attributes",
    [
        {"PatientName": "Other^Name"},
        {"WindowCenter": ["-600", "41"]},
        {"LossyImageCompression": "01"},
        {"ImageComments": "new"},
        {"SpecificCharacterSet": "ISO_IR 100"},
        {"RescaleIntercept": "-1023"},
        {"DerivationDescription": "subtracted"},
    ],
)
def test_other_attributes_are_other_content(original: Path, tmp_path: Path, attributes: dict[str, object]) -> None:
    assert not same_content(original, changed(original, tmp_path, **attributes))


def test_a_removed_attribute_or_item_is_other_content(original: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(original)
    ds.ReferencedImageSequence = [Dataset(), Dataset()]
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert not same_content(original, tmp_path / "a.dcm")
    ds.ReferencedImageSequence = [Dataset()]
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    assert not same_content(tmp_path / "a.dcm", tmp_path / "b.dcm")
    ds.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2"
    ds.save_as(tmp_path / "c.dcm", enforce_file_format=True)
    assert not same_content(tmp_path / "b.dcm", tmp_path / "c.dcm")


def test_missing_pixels_are_other_content(original: Path, tmp_path: Path) -> None:
    ds = pydicom.dcmread(original)
    del ds.PixelData
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert not same_content(original, tmp_path / "a.dcm")
    assert same_content(tmp_path / "a.dcm", tmp_path / "a.dcm")


def test_lossless_jpeg_as_dcmtk_marks_it(original: Path, tmp_path: Path) -> None:
    ds = transcode(pydicom.dcmread(original), "jpeg_lossless_sv1")
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "121327", "DCM", "Full fidelity image"
    ds.DerivationDescription = "Lossless JPEG compression, selection value 1, point transform 0, compression ratio 2.7"
    ds.DerivationCodeSequence = [code]
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert same_content(original, tmp_path / "a.dcm")
    code.CodeValue, code.CodeMeaning = "113040", "Lossy Compression"
    ds.save_as(tmp_path / "b.dcm", enforce_file_format=True)
    assert not same_content(original, tmp_path / "b.dcm")


def test_colour(tmp_path: Path) -> None:
    ds = lesion_dataset(3, size=(40, 60))
    ds.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    assert same_content(tmp_path / "a.dcm", tmp_path / "a.dcm")
    lesion_dataset(4, size=(40, 60)).save_as(tmp_path / "b.dcm", enforce_file_format=True)
    assert not same_content(tmp_path / "a.dcm", tmp_path / "b.dcm")


def test_the_cornerstone_image_in_its_syntaxes(data: Path) -> None:
    folder = data / "conformance/transfer-syntaxes-cornerstone"
    plain = folder / "CTImage.dcm"
    verdicts = {path.name.split("_")[-1].removesuffix(".dcm")[17:]: same_content(plain, path) for path in folder.glob("CTImage.dcm_*")}
    same = {syntax for syntax, verdict in verdicts.items() if verdict}
    # The big-endian file's private elements were not swapped by whoever made it, so it is not the same content.
    assert same == {"", ".1", ".1.99", ".4.57", ".4.70", ".4.80", ".4.90", ".5"}
    assert set(verdicts) - same == {".2", ".4.50", ".4.51", ".4.53", ".4.55", ".4.81", ".4.91"}


def test_other_files_than_dicom(original: Path, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing")
    with pytest.raises(CannotUnderstand):
        same_content(original, tmp_path / "x")
