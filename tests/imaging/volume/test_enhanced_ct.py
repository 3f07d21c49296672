"""Enhanced CT: frames with values of their own, projections, and images that were sent as several instances."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from core.errors import GeometryError
from deploy.demo.synthetic.chest import Chest, make_chest
from imaging.volume.volume import read_volume
from tests.support.enhanced_ct import enhanced_ct


def test_enhanced_ct(chest: Chest, tmp_path: Path) -> None:
    path = tmp_path / "enhanced.dcm"
    enhanced_ct(chest).save_as(path, enforce_file_format=True)
    volume = read_volume([path])
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.frame_numbers == tuple(range(20, 0, -1))
    assert set(volume.sop_instance_uids) == {pydicom.dcmread(path).SOPInstanceUID}
    assert volume.spacing_mm == pytest.approx((3.0, 4.0, 4.0))


@pytest.mark.parametrize(("contrast", "technique"), [("MAXIMUM", "NONE"), ("NONE", "MAX_IP"), ("NONE", "CURVED_MPR")])
def test_projections_and_curved_planes_of_an_enhanced_ct_are_refused(chest: Chest, tmp_path: Path, contrast: str, technique: str) -> None:
    ds = enhanced_ct(chest)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.CTImageFrameTypeSequence[0].FrameType = ["DERIVED", "PRIMARY", "VOLUME", contrast]
        frame.CTImageFrameTypeSequence[0].VolumeBasedCalculationTechnique = technique
    ds.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    with pytest.raises(GeometryError, match="projections or renderings"):
        read_volume([tmp_path / "enhanced.dcm"])


def test_planar_reformats_of_an_enhanced_ct_are_taken(chest: Chest, tmp_path: Path) -> None:
    ds = enhanced_ct(chest)
    ds.VolumeBasedCalculationTechnique = "MPR"
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.CTImageFrameTypeSequence[0].VolumeBasedCalculationTechnique = "MPR"
    ds.save_as(tmp_path / "enhanced.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume([tmp_path / "enhanced.dcm"]).hu, chest.hu)


def test_enhanced_ct_with_many_frames(tmp_path: Path) -> None:
    """Functional groups longer than the limit above which pydicom leaves values in the file."""
    chest = make_chest(2, slices=300, size=16, slice_mm=1.0, pixel_mm=20.0, diameters_mm=())
    ds = enhanced_ct(chest)
    ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = False
    ds.save_as(tmp_path / "e.dcm", enforce_file_format=True)
    np.testing.assert_array_equal(read_volume([tmp_path / "e.dcm"]).hu, chest.hu)


def concatenation(chest: Chest, folder: Path, total: int | None) -> list[Path]:
    """One Enhanced CT in three instances."""
    whole = enhanced_ct(chest)
    pixels = np.frombuffer(whole.PixelData, "<u2").reshape(-1, whole.Rows, whole.Columns)
    groups, paths = list(whole.PerFrameFunctionalGroupsSequence), []
    for number, frames in enumerate(np.array_split(np.arange(len(groups)), 3), 1):
        ds = enhanced_ct(chest)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.77{number}")
        ds.ConcatenationUID, ds.InConcatenationNumber, ds.ConcatenationFrameOffsetNumber = "2.25.770", number, int(frames[0])
        if total is not None:
            ds.InConcatenationTotalNumber = total
        ds.NumberOfFrames, ds.PixelData = len(frames), pixels[frames].tobytes()
        ds.PerFrameFunctionalGroupsSequence = [groups[frame] for frame in frames]
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def test_the_instances_of_a_concatenation_make_one_volume(chest: Chest, tmp_path: Path) -> None:
    paths = concatenation(chest, tmp_path, 3)
    np.testing.assert_array_equal(read_volume([paths[2], paths[0], paths[1]]).hu, chest.hu)


@pytest.mark.parametrize(("total", "missing"), [(3, 0), (3, 1), (3, 2), (None, 0), (None, 1)])
def test_a_part_missing_of_a_concatenation_is_refused(chest: Chest, tmp_path: Path, total: int | None, missing: int) -> None:
    paths = concatenation(chest, tmp_path, total)
    with pytest.raises(GeometryError, match="1 of the 3 instances of a concatenation are missing"):
        read_volume([path for path in paths if path != paths[missing]])


def test_enhanced_ct_with_frames_missing_in_the_functional_groups(chest: Chest, tmp_path: Path) -> None:
    ds = enhanced_ct(chest)
    del ds.PerFrameFunctionalGroupsSequence[-1]
    ds.save_as(tmp_path / "e.dcm", enforce_file_format=True)
    with pytest.raises(GeometryError, match="20 frames expected, 19 described"):
        read_volume([tmp_path / "e.dcm"])


def test_real_enhanced_ct(data: Path) -> None:
    volume = read_volume([data / "conformance/pydicom-data/eCT_Supplemental.dcm"])
    assert volume.hu.shape == (2, 512, 512)
    assert volume.frame_numbers == (2, 1)
    assert volume.hu.min() == -1024
