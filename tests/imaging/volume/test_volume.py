from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from core.errors import CannotUnderstand, GeometryError, PixelError
from deploy.demo.synthetic.chest import Chest, chest_datasets, make_chest
from imaging.volume.volume import read_volume
from tests.support.transcode import LOSSLESS, transcode

Change = Callable[[Dataset, int], None]


def written(tmp_path: Path, chest: Chest, change: Change) -> list[Path]:
    """The series with each data set changed by ``change(ds, number)``, number from 0, head to feet."""
    paths = []
    for number, ds in enumerate(chest_datasets(chest)):
        change(ds, number)
        paths.append(tmp_path / f"{number:03d}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def copied(path: Path, to: Path, **attributes: object) -> Path:
    ds = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.save_as(to, enforce_file_format=True)
    return to


def test_a_series_in_any_order(series: list[Path], chest: Chest) -> None:
    shuffled = list(np.random.default_rng(3).permutation(np.array(series, object)))
    volume = read_volume(shuffled)
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.hu.dtype == np.int16
    assert volume.spacing_mm == pytest.approx((3.0, 4.0, 4.0))
    assert volume.notes == ()
    uids = [pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in reversed(series)]
    assert volume.sop_instance_uids == tuple(uids)
    assert volume.frame_numbers == (1,) * 20
    assert volume.frame_of_reference_uid == pydicom.dcmread(series[0]).FrameOfReferenceUID


def test_positions_and_indices_are_inverse(series: list[Path], chest: Chest) -> None:
    volume = read_volume(series)
    assert volume.lps(0, 0, 0) == pytest.approx(chest.origin_mm)
    assert volume.index(volume.lps(3.5, 7.25, 9)) == pytest.approx((3.5, 7.25, 9))
    z, y, x = (round(v) for v in volume.index(chest.nodules[0].position_mm))
    assert volume.hu[z, y, x] == pytest.approx(chest.nodules[0].hu, abs=60)


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_change_nothing(series: list[Path], chest: Chest, threads: int) -> None:
    np.testing.assert_array_equal(read_volume(series, threads=threads).hu, chest.hu)


@pytest.mark.parametrize("name", LOSSLESS)
def test_every_lossless_syntax_gives_the_same_volume(series: list[Path], chest: Chest, tmp_path: Path, name: str) -> None:
    paths = []
    for number, path in enumerate(series[:6]):
        paths.append(tmp_path / f"{number}.dcm")
        transcode(pydicom.dcmread(path), name).save_as(paths[-1], enforce_file_format=True)
    np.testing.assert_array_equal(read_volume(paths).hu, chest.hu[14:])


def test_slope_and_intercept_of_each_slice(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        if number % 2:
            stored = np.frombuffer(ds.PixelData, "<u2") // 2
            ds.PixelData, ds.RescaleSlope = stored.astype("<u2").tobytes(), "2"
        if number == 4:
            ds.RescaleSlope = "0.5"

    volume = read_volume(written(tmp_path, chest, change))
    untouched = [index for index in range(1, 20, 2) if index != 15]  # head to feet: even numbers are odd indices
    np.testing.assert_array_equal(volume.hu[untouched], chest.hu[untouched])
    np.testing.assert_array_equal(volume.hu[0::2] // 2, (chest.hu[0::2] + 1024) // 2 - 512)
    halved = (chest.hu[15].astype(float) + 1024) * 0.5 - 1024
    np.testing.assert_allclose(volume.hu[15], halved, atol=0.5)


def test_values_beyond_int16_are_clipped_with_a_note(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        if number == 2:
            ds.RescaleSlope = "40"

    volume = read_volume(written(tmp_path, chest, change))
    assert volume.hu[17].max() == 32767
    assert volume.notes == ("values beyond int16 clipped in 1 slice",)


@pytest.mark.parametrize("name", ["LOCALIZER", "SCOUT"])
def test_localizers_are_dropped_with_a_note(series: list[Path], chest: Chest, tmp_path: Path, name: str) -> None:
    marked = copied(series[0], tmp_path / "l.dcm", SOPInstanceUID="2.25.1", ImageType=["ORIGINAL", "PRIMARY", name], Rows=64,
                    ImageOrientationPatient=[1, 0, 0, 0, 0, -1])  # fmt: skip
    without = pydicom.dcmread(marked)
    del without.RescaleSlope, without.RescaleIntercept
    without.save_as(marked, enforce_file_format=True)
    volume = read_volume([*series, marked])
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.notes == ("1 localizer image dropped",)


def test_unmarked_localizers_are_dropped_with_a_note(series: list[Path], chest: Chest, tmp_path: Path) -> None:
    other = copied(series[0], tmp_path / "l.dcm", SOPInstanceUID="2.25.1", ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    volume = read_volume([other, *series])
    assert volume.hu.shape == chest.hu.shape
    assert volume.notes == ("1 image of another orientation dropped, taken for localizers",)


def test_screen_captures_are_dropped_with_a_note(series: list[Path], chest: Chest, tmp_path: Path) -> None:
    capture = copied(
        series[0], tmp_path / "c.dcm", SOPInstanceUID="2.25.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", ImagePositionPatient=""
    )
    volume = read_volume([capture, *series])
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.notes == ("1 screen capture dropped",)


def test_reformatted_slices_are_taken_with_a_note_and_projections_refused(chest: Chest, tmp_path: Path) -> None:
    def called(*words: str) -> list[Path]:
        (tmp_path / words[-1]).mkdir()
        return written(tmp_path / words[-1], chest, lambda ds, _: setattr(ds, "ImageType", list(words)))

    reformatted = called("DERIVED", "SECONDARY", "AXIAL", "MPR")
    volume = read_volume(reformatted)
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.notes == (f"{len(chest.hu)} of {len(chest.hu)} images are derived: reformatted or processed before they came",)
    with pytest.raises(GeometryError, match=r"images are derived \(Image Type\)"):
        read_volume(reformatted, derived=False)
    with pytest.raises(GeometryError, match="projections or renderings"):
        read_volume(called("DERIVED", "SECONDARY", "AXIAL", "MIP"))


def test_a_missing_file_raises_os_error(series: list[Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_volume([*series, tmp_path / "absent.dcm"])


def test_a_repeated_file_is_dropped_with_a_note(series: list[Path], chest: Chest, tmp_path: Path) -> None:
    again = copied(series[5], tmp_path / "again.dcm", SOPInstanceUID="2.25.1")
    volume = read_volume([*series, series[3], again])
    np.testing.assert_array_equal(volume.hu, chest.hu)
    assert volume.notes == ("2 images dropped: each has the position and content of another one",)


def test_two_images_at_one_place_are_refused(series: list[Path], tmp_path: Path) -> None:
    values = np.frombuffer(pydicom.dcmread(series[6]).PixelData, "<u2")
    other = copied(series[5], tmp_path / "other.dcm", SOPInstanceUID="2.25.1", PixelData=values.tobytes())
    with pytest.raises(GeometryError, match="duplicate position: 2 different images"):
        read_volume([*series, other])


def test_a_gap_is_refused(series: list[Path]) -> None:
    with pytest.raises(GeometryError, match="a gap: 1 slice is missing"):
        read_volume(series[:7] + series[8:])


def test_uneven_spacing_is_refused(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        if number >= 10:
            x, y, z = ds.ImagePositionPatient
            ds.ImagePositionPatient = [x, y, float(z) - 1.3]

    with pytest.raises(GeometryError, match="uneven spacing"):
        read_volume(written(tmp_path, chest, change))


def test_tilt_is_refused(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        x, y, z = ds.ImagePositionPatient
        ds.ImagePositionPatient = [x, float(y) + 0.6 * number, z]

    with pytest.raises(GeometryError, match="tilt"):
        read_volume(written(tmp_path, chest, change))


def test_mixed_orientation_is_refused(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        if number % 2:
            ds.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    with pytest.raises(GeometryError, match="mixed orientation: 2 orientations"):
        read_volume(written(tmp_path, chest, change))


def test_spacing_comes_from_positions_only(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        ds.SpacingBetweenSlices, ds.SliceThickness, ds.SliceLocation, ds.InstanceNumber = "0.4", "9", str(number * 7), (number * 7) % 20

    volume = read_volume(written(tmp_path, chest, change))
    assert volume.spacing_mm[0] == pytest.approx(3.0)
    np.testing.assert_array_equal(volume.hu, chest.hu)


def _set(keyword: str, value: object, when: Callable[[int], bool]) -> Change:
    def change(ds: Dataset, number: int) -> None:
        if when(number):
            setattr(ds, keyword, value)

    return change


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("PatientID", "SECRET-OTHER", "disagree in Patient ID: 2 different values"),
        ("IssuerOfPatientID", "SECRET", "disagree in Issuer of Patient ID"),
        ("AccessionNumber", "SECRET", "disagree in Accession Number"),
        ("StudyInstanceUID", "2.25.7", "disagree in Study Instance UID"),
        ("SeriesInstanceUID", "2.25.7", "disagree in Series Instance UID"),
        ("FrameOfReferenceUID", "2.25.7", "disagree in Frame of Reference UID: 2 among 20"),
        ("FrameOfReferenceUID", "", "disagree in Frame of Reference UID"),
        ("PixelSpacing", ["4", "3.5"], "mixed pixel spacing"),
        ("Modality", "MR", "CT expected, an instance of modality MR came"),
        ("RescaleSlope", "", "not Hounsfield units"),
        ("RescaleType", "Z_EFF", "Hounsfield units expected, Rescale Type Z_EFF came"),
        ("ImagePositionPatient", "", "1 of 20 slices has no position"),
        ("PixelSpacing", ["0", "0"], "not above zero"),
    ],
)
def test_disagreement_is_named_without_values(tmp_path: Path, chest: Chest, keyword: str, value: object, message: str) -> None:
    paths = written(tmp_path, chest, _set(keyword, value, lambda number: number == 4))
    with pytest.raises(GeometryError, match=message) as caught:
        read_volume(paths)
    assert "SECRET" not in str(caught.value)


def test_half_the_slices_in_another_frame_of_reference(tmp_path: Path, chest: Chest) -> None:
    with pytest.raises(GeometryError, match="Frame of Reference UID: 2 among 20"):
        read_volume(written(tmp_path, chest, _set("FrameOfReferenceUID", "2.25.7", lambda number: number < 10)))


def test_each_slice_with_its_own_frame_of_reference(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        ds.FrameOfReferenceUID = f"2.25.{number + 1}"

    volume = read_volume(written(tmp_path, chest, change))
    assert volume.frame_of_reference_uid == ""
    assert volume.notes == ("each image has a Frame of Reference UID of its own: locations on the images only",)


@pytest.mark.parametrize("uid", ["1.2..4", "2.25." + "1" * 60, "none"])
def test_a_frame_of_reference_that_is_no_uid_is_none(tmp_path: Path, chest: Chest, uid: str) -> None:
    """A result with it would not be valid, and would be held instead of sent."""

    def change(ds: Dataset, _: int) -> None:
        ds["FrameOfReferenceUID"] = DataElement("FrameOfReferenceUID", "UI", uid, validation_mode=config.IGNORE)

    volume = read_volume(written(tmp_path, chest, change))
    assert volume.frame_of_reference_uid == ""
    assert "the Frame of Reference UID is not valid: locations on the images only" in volume.notes


def test_a_frame_of_reference_with_leading_zeros_is_used_as_its_images_state_it(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, _: int) -> None:
        ds["FrameOfReferenceUID"] = DataElement("FrameOfReferenceUID", "UI", "1.2.03.4", validation_mode=config.IGNORE)

    assert read_volume(written(tmp_path, chest, change)).frame_of_reference_uid == "1.2.03.4"


def test_no_frame_of_reference_at_all(tmp_path: Path, chest: Chest) -> None:
    volume = read_volume(written(tmp_path, chest, lambda ds, _: delattr(ds, "FrameOfReferenceUID")))
    assert volume.frame_of_reference_uid == ""
    assert volume.notes == ("no Frame of Reference UID: locations on the images only",)


def test_mixed_sizes_are_refused(series: list[Path], tmp_path: Path) -> None:
    ds = pydicom.dcmread(series[3])
    other = copied(series[3], tmp_path / "o.dcm", SOPInstanceUID="2.25.1", Rows=32, PixelData=ds.PixelData[: 32 * 64 * 2])
    with pytest.raises(GeometryError, match="mixed image size: 32 x 64, 64 x 64"):
        read_volume([*series, other])


@pytest.mark.parametrize("count", [0, 1])
def test_too_few(series: list[Path], count: int) -> None:
    with pytest.raises(GeometryError, match=f"too few slices: at least 2 expected, {count} came"):
        read_volume(series[:count])


def test_missing_pixels_are_refused(tmp_path: Path, chest: Chest) -> None:
    def change(ds: Dataset, number: int) -> None:
        if number == 3:
            del ds.PixelData
        if number == 5:
            ds.PixelData = ds.PixelData[:100]

    paths = written(tmp_path, chest, change)
    with pytest.raises(PixelError):
        read_volume(paths)
    with pytest.raises(PixelError, match="8192 bytes of pixel data expected, 100 came"):
        read_volume(paths[4:])


def test_other_files_than_dicom_are_refused(series: list[Path], tmp_path: Path) -> None:
    stray = tmp_path / "README"
    stray.write_text("not an image")
    with pytest.raises(CannotUnderstand):
        read_volume([*series, stray])


def test_real_series(data: Path) -> None:
    paths = sorted((data / "ct/cptac-C3N-00247-lung3.0-B70f").glob("*.dcm"))
    volume = read_volume(paths)
    assert volume.hu.shape == (99, 512, 512)
    assert volume.spacing_mm == pytest.approx((3.0, 0.564453125, 0.564453125))
    assert (volume.hu.min(), volume.hu.max()) == (-1024, 3071)
    assert volume.lps(0, 0, 0) == pytest.approx((-143.2177734375, -287.2177734375, -288.0))
    assert volume.notes == ()
    assert volume.frame_of_reference_uid


def test_real_phantom_without_a_common_frame_of_reference(data: Path) -> None:
    paths = sorted((data / "ct/fda-phantom-nodulelayout2-j2k-every4th-REPAIRED").glob("*.dcm"))[60:80]
    volume = read_volume(paths)
    assert volume.spacing_mm[0] == pytest.approx(1.6, abs=1e-3)
    assert volume.frame_of_reference_uid == ""
    assert "each image has a Frame of Reference UID of its own" in volume.notes[0]


def test_a_large_synthetic_series_keeps_its_nodules(tmp_path: Path) -> None:
    chest = make_chest(5, slices=40, size=128, slice_mm=2.0, pixel_mm=2.0, diameters_mm=(14.0, 8.0))
    paths = written(tmp_path, chest, lambda _ds, _number: None)
    volume = read_volume(paths)
    for nodule in chest.nodules:
        z, y, x = (round(v) for v in volume.index(nodule.position_mm))
        assert volume.hu[z, y, x] > -200
