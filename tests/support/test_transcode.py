"""Transcoded images decode to the same pixels, also with DCMTK."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from core.errors import PixelError
from deploy.demo.synthetic.chest import make_chest, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset
from imaging.pixels.decode import decode_frames
from imaging.wire.tolerant_parser import read_dataset
from tests.support.transcode import LOSSLESS, transcode


@pytest.fixture
def series(tmp_path: Path) -> list[Path]:
    """Files of a small synthetic series, from the head to the feet."""
    return write_chest(tmp_path / "series", make_chest(11, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,)))


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("signed", [False, True])
def test_round_trip(series: list[Path], tmp_path: Path, name: str, signed: bool) -> None:
    ds = pydicom.dcmread(series[2])
    if signed:
        values = np.frombuffer(ds.PixelData, "<u2").astype(np.int16) - 1024
        ds.PixelRepresentation, ds.RescaleIntercept, ds.PixelData = 1, "0", values.tobytes()
        ds.BitsStored, ds.HighBit = 16, 15
    expected = decode_frames(ds)
    path = tmp_path / "t.dcm"
    transcode(ds, name, sop_instance_uid="2.25.5", series_instance_uid="2.25.6").save_as(path, enforce_file_format=True)
    back = read_dataset(path, pixels=True)
    np.testing.assert_array_equal(decode_frames(back), expected)
    assert (back.SOPInstanceUID, back.SeriesInstanceUID, back.file_meta.TransferSyntaxUID) == ("2.25.5", "2.25.6", LOSSLESS[name])
    assert pydicom.dcmread(series[2]).SOPInstanceUID != "2.25.5"


@pytest.mark.parametrize(
    ("name", "tool"),
    [("jpeg_lossless", "dcmdjpeg"), ("jpeg_lossless_sv1", "dcmdjpeg"), ("jpeg_ls", "dcmdjpls"), ("rle", "dcmdrle")],
)
def test_dcmtk_reads_it_too(series: list[Path], tmp_path: Path, name: str, tool: str) -> None:
    source = pydicom.dcmread(series[2])
    ds = transcode(source, name)
    assert ds.PixelData != source.PixelData
    ds.save_as(tmp_path / "t.dcm", enforce_file_format=True)
    if shutil.which(tool):
        subprocess.run([tool, str(tmp_path / "t.dcm"), str(tmp_path / "o.dcm")], check=True, capture_output=True)
        np.testing.assert_array_equal(decode_frames(read_dataset(tmp_path / "o.dcm", pixels=True)), decode_frames(source))


def test_the_source_stays_as_it_was(series: list[Path]) -> None:
    ds = pydicom.dcmread(series[2])
    before = ds.PixelData
    transcode(ds, "jpeg_2000", sop_instance_uid="2.25.1")
    assert ds.PixelData == before
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_colour_and_unknown_names_are_refused() -> None:
    with pytest.raises(PixelError, match="grey"):
        transcode(lesion_dataset(1, size=(40, 60)), "rle")
    with pytest.raises(KeyError):
        transcode(lesion_dataset(1, size=(40, 60)), "mpeg")
