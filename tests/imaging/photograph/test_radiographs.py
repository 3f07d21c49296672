"""Grey images as scanners send them: windows and tables that are empty, odd or of another size, and every file of pydicom's tests."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels.processing import apply_windowing

from core.errors import NodeError, PixelError
from imaging.frames.frame_file import FrameFile
from imaging.headers.route_test import exclusion_reason
from imaging.photograph.read import Photograph, read_photograph
from tests.support.monai_classifiers import radiograph
from tests.support.multi_frame import multi_frame

NO_WINDOW = "the header has no window: the range from the lowest to the highest value was used"


def shown(image: Dataset, folder: Path, name: str = "dx.dcm") -> Photograph:
    image.save_as(folder / name, enforce_file_format=True)
    return read_photograph(folder / name, grey=True)


def stored(image: FileDataset) -> np.ndarray:
    return np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)


def table(entries: int, first: int, bits: int, data: Any, vr: str = "US") -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [entries, first, bits])
    item.add_new("LUTData", vr, data)
    return item


@pytest.mark.parametrize(("center", "width"), [("", ""), ("2490", ""), ("", "1021"), ("2490", "0"), ("2490", "0.5"), ("2490", "-4")])
def test_a_window_that_cannot_be_applied_is_none(tmp_path: Path, center: str, width: str) -> None:
    """Devices write the elements without a value: such an image was refused as one whose tables cannot be applied."""
    image = radiograph(True, 4)
    without = radiograph(True, 4)
    del without.WindowCenter, without.WindowWidth
    image.WindowCenter, image.WindowWidth = center, width
    found = shown(image, tmp_path)
    assert (found.rgb == shown(without, tmp_path, "without.dcm").rgb).all()
    assert found.notes == (NO_WINDOW,)


@pytest.mark.parametrize("rescale", [{"RescaleSlope": ""}, {"RescaleIntercept": ""}, {"RescaleSlope": "", "RescaleIntercept": ""}])
def test_an_empty_rescale_is_none(tmp_path: Path, rescale: dict[str, str]) -> None:
    image = radiograph(True, 4)
    image.RescaleSlope, image.RescaleIntercept = "1", "0"
    expected = shown(image, tmp_path, "with.dcm").rgb
    for keyword, value in rescale.items():
        setattr(image, keyword, value)
    assert (shown(image, tmp_path).rgb == expected).all()


@pytest.mark.parametrize("function", ["", "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [(1.0, 0.0), (0.5, -700.0)])
def test_a_window_shows_what_pydicom_shows(tmp_path: Path, function: str, rescale: tuple[float, float]) -> None:
    image = radiograph(True, 4)
    image.PhotometricInterpretation = "MONOCHROME2"
    image.RescaleSlope, image.RescaleIntercept = rescale
    image.WindowCenter, image.WindowWidth = 2400 * rescale[0] + rescale[1], 700 * rescale[0]
    if function:
        image.VOILUTFunction = function
    values = apply_windowing(stored(image) * rescale[0] + rescale[1], image)
    low, high = rescale[1], 4095 * rescale[0] + rescale[1]
    expected = np.rint((values - low) / (high - low) * 255)
    assert np.abs(shown(image, tmp_path).rgb[..., 0] - expected).max() <= 1


def test_the_first_of_several_windows_counts(tmp_path: Path) -> None:
    image = radiograph(True, 4)
    expected = shown(image, tmp_path, "one.dcm").rgb
    image.WindowCenter, image.WindowWidth = [image.WindowCenter, 100], [image.WindowWidth, 50]
    assert (shown(image, tmp_path).rgb == expected).all()


def test_an_unknown_function_of_a_window_is_named(tmp_path: Path) -> None:
    image = radiograph(True, 4)
    image.VOILUTFunction = "GAMMA"
    with pytest.raises(PixelError, match="LINEAR, LINEAR_EXACT, SIGMOID or absent, 'GAMMA' came"):
        shown(image, tmp_path)


def test_a_modality_table_of_more_bits_than_the_stored_values(tmp_path: Path) -> None:
    """Eight bits stored and a table of 4,096 entries, as of film digitisers: it was refused."""
    image = radiograph(False, 4)
    values = (stored(image) // 16).astype(np.uint8)
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelData = 8, 8, 7, values.tobytes()
    image["PixelData"].VR, image.PhotometricInterpretation = "OB", "MONOCHROME2"
    image.ModalityLUTSequence = [table(4096, 0, 12, [min(4095, entry * 16) for entry in range(4096)])]
    image.ModalityLUTSequence[0].ModalityLUTType = "OD"
    image.WindowCenter, image.WindowWidth = 2048, 4096
    assert np.abs(shown(image, tmp_path).rgb[..., 0].astype(int) - values.astype(int) * 16 / 4095 * 255).max() <= 1


def test_a_modality_table_that_begins_below_zero(tmp_path: Path) -> None:
    """Unsigned values, and a first value of the table that is negative."""
    image = radiograph(False, 4)
    image.PhotometricInterpretation = "MONOCHROME2"
    image.ModalityLUTSequence = [table(5000, -500, 16, list(range(0, 50_000, 10)))]
    image.WindowCenter, image.WindowWidth = 32768, 65536
    expected = (stored(image).astype(int) + 500) * 10 / 65535 * 255
    assert np.abs(shown(image, tmp_path).rgb[..., 0] - expected).max() <= 1


def test_a_table_of_eight_bits_may_have_two_entries_in_a_word(tmp_path: Path) -> None:
    image = radiograph(False, 4)
    del image.WindowCenter, image.WindowWidth
    image.PhotometricInterpretation = "MONOCHROME2"
    image.VOILUTSequence = [table(4096, 0, 8, bytes(255 - value // 16 for value in range(4096)), "OW")]
    assert (shown(image, tmp_path).rgb[..., 0] == 255 - stored(image) // 16).all()


def test_a_table_without_its_data_is_refused(tmp_path: Path) -> None:
    for data in (b"", b"\0\0"):
        image = radiograph(False, 4)
        image.ModalityLUTSequence = [table(0, 0, 16, data, "OW")]
        if data:
            shown(image, tmp_path)  # one entry: every value is mapped to it
        else:
            with pytest.raises(PixelError, match="cannot be shown by the header's tables"):
                shown(image, tmp_path)


def test_frames_with_an_empty_window_are_shown_alike(tmp_path: Path) -> None:
    """A loop of more than 8 bits gets one window over its whole range, so that a dark frame stays dark; it was refused."""
    frames = np.stack([np.full((8, 8), value, np.uint16) for value in (1000, 4000)])
    image = multi_frame(
        frames, study=8910, sop_class="1.2.840.10008.5.1.4.1.1.3.1", modality="US", BitsAllocated=16, BitsStored=12, HighBit=11,
        WindowCenter="", WindowWidth="",
    )  # fmt: skip
    image["PixelData"].VR = "OW"
    image.save_as(tmp_path / "loop.dcm", enforce_file_format=True)
    file = FrameFile(tmp_path / "loop.dcm")
    assert [int(file.rgb(number)[0, 0, 0]) for number in (1, 2)] == [62, 249]


@pytest.mark.parametrize("name", ["1.1.1", "1.2.1", "1.3.1"])
def test_raw_values_of_a_detector_are_no_image_for_a_model(name: str) -> None:
    """Digital X-ray, mammography and intra-oral X-ray "for processing": networks are trained on what is displayed."""
    dataset = Dataset()
    dataset.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{name}"
    assert exclusion_reason(dataset).startswith("raw values of the detector, which are not for display: ")
    dataset.SOPClassUID = dataset.SOPClassUID[:-2]
    assert exclusion_reason(dataset) == ""


def test_every_file_of_pydicom_is_shown_or_refused(data: Path) -> None:
    """No other error: the node would repeat the attempt, and quarantine the job without a reason that anybody understands."""
    paths = list((Path(pydicom.__file__).parent / "data" / "test_files").rglob("*.dcm"))
    paths += [path for path in (data / "conformance").rglob("*") if path.is_file()]
    read = refused = 0
    for path in paths:
        try:
            picture = read_photograph(path, grey=True)
        except NodeError:
            refused += 1
        else:
            assert picture.rgb.dtype == np.uint8, path
            assert picture.rgb.shape[2] == 3, path
            read += 1
    assert read > 60
    assert refused > 5
