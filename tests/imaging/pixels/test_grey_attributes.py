"""The functional groups of an enhanced image state how its frames are displayed: Frame VOI LUT and Pixel Value Transformation."""

from pathlib import Path
from typing import Any

import highdicom.legacy
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from core.errors import PixelError
from imaging.frames.frame_file import FrameFile
from imaging.photograph.read import read_photograph
from tests.support.multi_frame import multi_frame
from tests.support.series import image

ENHANCED_MR, MR, OPT = "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.77.1.5.4"
RAMP = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)


def item(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def window(center: Any, width: Any, **more: Any) -> dict[str, list[Dataset]]:
    return {"FrameVOILUTSequence": [item(WindowCenter=center, WindowWidth=width, **more)]}


def transformation(slope: Any, intercept: Any) -> dict[str, list[Dataset]]:
    return {"PixelValueTransformationSequence": [item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")]}


def enhanced(
    shared: dict[str, Any], frames: list[dict[str, Any]], *, sop_class: str = ENHANCED_MR, modality: str = "MR", **changes: Any
) -> FileDataset:
    """An image of 12 bits whose frames each hold every stored value, with these functional groups."""
    words = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
    pixels = np.repeat(RAMP, len(frames), axis=0)
    made = multi_frame(pixels, study=8950, sop_class=sop_class, modality=modality, **words, **changes)
    made["PixelData"].VR = "OW"
    made.SharedFunctionalGroupsSequence = [item(**shared)]
    made.PerFrameFunctionalGroupsSequence = [item(**frame) for frame in frames]
    return made


def displayed(dataset: Dataset, folder: Path) -> list[np.ndarray]:
    """Each frame as the viewer, and a network of frames, gets it: (Y, X)."""
    path = folder / "enhanced.dcm"
    dataset.save_as(path, enforce_file_format=True)
    file = FrameFile(path)
    found = [file.rgb(number)[..., 0] for number in range(1, file.spec.frames + 1)]
    assert np.array_equal(read_photograph(path, grey=True).rgb[..., 0], found[0]), "a network of single images gets the first frame"
    return found


def linear(values: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, with an output of 0 to 255."""
    return np.clip(((values - (center - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


@pytest.mark.parametrize(("sop_class", "modality"), [(ENHANCED_MR, "MR"), (OPT, "OPT")])
def test_a_window_in_the_shared_groups_holds_for_every_frame(tmp_path: Path, sop_class: str, modality: str) -> None:
    for frame in displayed(enhanced(window(600, 400), [{}, {}], sop_class=sop_class, modality=modality), tmp_path):
        assert np.abs(frame - linear(RAMP[0], 600, 400)).max() <= 0.51


def test_each_frame_has_its_own_window_and_rescale(tmp_path: Path) -> None:
    frames = [window(600, 400) | transformation(1, 0), window(-500, 1000) | transformation(0.5, -1000)]
    first, second = displayed(enhanced({}, frames), tmp_path)
    assert np.abs(first - linear(RAMP[0], 600, 400)).max() <= 0.51
    assert np.abs(second - linear(RAMP[0] * 0.5 - 1000, -500, 1000)).max() <= 0.51


def test_groups_come_before_the_data_set_and_those_of_a_frame_before_the_shared_ones(tmp_path: Path) -> None:
    wrong = {"WindowCenter": 100, "WindowWidth": 50, "RescaleSlope": 7, "RescaleIntercept": 9}
    made = enhanced(window(600, 400) | transformation(1, 0), [{}, window(2000, 3000)], **wrong)
    first, second = displayed(made, tmp_path)
    assert np.abs(first - linear(RAMP[0], 600, 400)).max() <= 0.51
    assert np.abs(second - linear(RAMP[0], 2000, 3000)).max() <= 0.51


@pytest.mark.parametrize("empty", [window(None, None), window(600, 0), {"FrameVOILUTSequence": []}, transformation(None, None)])
def test_a_macro_without_values_counts_as_absent(tmp_path: Path, empty: dict[str, Any]) -> None:
    given = {"WindowCenter": 2000, "WindowWidth": 3000, "RescaleSlope": 2, "RescaleIntercept": -100}
    (frame,) = displayed(enhanced(empty, [empty], **given), tmp_path)
    assert np.abs(frame - linear(RAMP[0] * 2.0 - 100, 2000, 3000)).max() <= 0.51


def test_a_table_in_the_groups_is_applied(tmp_path: Path) -> None:
    """The macro with a table (C.7.6.16.2.10b), as a device of ophthalmology may write it."""
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4096, 0, 8])
    table.add_new("LUTData", "US", [255 - value // 16 for value in range(4096)])
    (frame,) = displayed(enhanced({"FrameVOILUTSequence": [item(VOILUTSequence=[table])]}, [{}]), tmp_path)
    assert np.array_equal(frame, 255 - RAMP[0] // 16)


def test_a_sigmoid_function_of_the_groups_is_applied_and_an_unknown_one_is_named(tmp_path: Path) -> None:
    (frame,) = displayed(enhanced(window(2000, 1000, VOILUTFunction="SIGMOID"), [{}]), tmp_path)
    assert np.abs(frame - 255 / (1 + np.exp(-4 * (RAMP[0] - 2000.0) / 1000))).max() <= 0.51
    enhanced({}, [window(2000, 1000, VOILUTFunction="GAMMA")]).save_as(tmp_path / "odd.dcm", enforce_file_format=True)
    with pytest.raises(PixelError, match="LINEAR, LINEAR_EXACT, SIGMOID or absent, 'GAMMA' came"):
        FrameFile(tmp_path / "odd.dcm")
    with pytest.raises(PixelError, match="LINEAR, LINEAR_EXACT, SIGMOID or absent, 'GAMMA' came"):
        read_photograph(tmp_path / "odd.dcm", grey=True)


def test_frames_without_a_window_are_shown_alike_whatever_their_rescale(tmp_path: Path) -> None:
    """As in PET, each frame has a slope of its own: one range holds for all, and the same value has the same brightness."""
    made = enhanced({}, [transformation(1, 0), transformation(2, 0), window(600, 400)])
    made.save_as(tmp_path / "pet.dcm", enforce_file_format=True)
    file = FrameFile(tmp_path / "pet.dcm")
    frames = [file.rgb(number)[..., 0] for number in (1, 2, 3)]
    assert np.abs(frames[0] - RAMP[0] / 8190 * 255).max() <= 0.51
    assert np.abs(frames[1] - RAMP[0] * 2.0 / 8190 * 255).max() <= 0.51
    assert np.abs(frames[2] - linear(RAMP[0], 600, 400)).max() <= 0.51


def test_groups_that_describe_fewer_frames_leave_the_others_to_the_shared_ones(tmp_path: Path) -> None:
    made = enhanced(window(600, 400), [window(2000, 3000), {}, {}])
    del made.PerFrameFunctionalGroupsSequence[1:]
    frames = displayed(made, tmp_path)
    assert np.abs(frames[0] - linear(RAMP[0], 2000, 3000)).max() <= 0.51
    assert all(np.abs(frame - linear(RAMP[0], 600, 400)).max() <= 0.51 for frame in frames[1:])


def test_a_real_enhanced_ct_is_displayed_with_its_window(data: Path) -> None:
    """The window and the rescale of this file stand in its shared groups alone."""
    path = data / "conformance/pydicom-data/eCT_Supplemental.dcm"
    stored, file = pydicom.dcmread(path).pixel_array, FrameFile(path)
    for number in (1, 2):
        assert np.abs(file.rgb(number)[..., 0] - linear(stored[number - 1] - 1024.0, 49, 102)).max() <= 0.51
    assert np.array_equal(read_photograph(path, grey=True).rgb, file.rgb(1))


def test_an_enhanced_mr_of_highdicom_is_displayed_as_the_images_that_it_was_made_of(tmp_path: Path) -> None:
    """Another program has moved windows and rescale values, of which every image has its own, into the functional groups."""
    mr = {"sop_class": MR, "Modality": "MR", "RescaleType": None}
    images = {}
    for number in (1, 2, 3):
        made = image(
            study=8951, number=number, WindowCenter=200 * number, WindowWidth=900 + number, RescaleSlope=number, RescaleIntercept=-5, **mr
        )
        made.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        images[made.SOPInstanceUID] = tmp_path / f"{number}.dcm"
    converted = highdicom.legacy.LegacyConvertedEnhancedMRImage(
        [pydicom.dcmread(path) for path in images.values()], "2.25.8951", 2, "2.25.89512", 1
    )
    assert "WindowCenter" not in converted
    frames = displayed(converted, tmp_path)
    for frame, groups in zip(frames, converted.PerFrameFunctionalGroupsSequence, strict=True):
        source = images[groups.ConversionSourceAttributesSequence[0].ReferencedSOPInstanceUID]
        assert np.array_equal(frame, FrameFile(source).rgb(1)[..., 0])
