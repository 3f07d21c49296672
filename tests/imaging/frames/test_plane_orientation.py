"""Where the orientation of a frame stands: in its own groups, in the shared ones, or in the data set."""

import pytest
from pydicom.dataset import Dataset

from imaging.frames.plane_orientation import plane_orientations

AXIAL, SAGITTAL, CORONAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


def group(*orientation: float) -> Dataset:
    """Return functional groups with this orientation; without one if none is given."""
    found, plane = Dataset(), Dataset()
    if orientation:
        plane.ImageOrientationPatient = list(orientation)
        found.PlaneOrientationSequence = [plane]
    return found


def test_a_classic_image_states_it_in_its_data_set() -> None:
    header = Dataset()
    assert plane_orientations(header, 1) == [None]
    header.ImageOrientationPatient = list(AXIAL)
    assert plane_orientations(header, 2) == [AXIAL, AXIAL]


def test_the_shared_groups_hold_for_frames_without_their_own() -> None:
    header = Dataset()
    header.SharedFunctionalGroupsSequence = [group(*SAGITTAL)]
    assert plane_orientations(header, 2) == [SAGITTAL, SAGITTAL]
    header.PerFrameFunctionalGroupsSequence = [group(), group(*CORONAL), group()]
    header.ImageOrientationPatient = list(AXIAL)
    assert plane_orientations(header, 3) == [SAGITTAL, CORONAL, SAGITTAL]


def test_frames_that_are_not_described_have_what_all_share() -> None:
    header = Dataset()
    header.PerFrameFunctionalGroupsSequence = [group(*CORONAL)]
    assert plane_orientations(header, 3) == [CORONAL, None, None]
    header.SharedFunctionalGroupsSequence = [group(*AXIAL)]
    assert plane_orientations(header, 3) == [CORONAL, AXIAL, AXIAL]


@pytest.mark.parametrize("wrong", [(1.0, 0.0, 0.0), (1.0,) * 7])
def test_a_wrong_orientation_is_none(wrong: tuple[float, ...]) -> None:
    header = Dataset()
    header.PerFrameFunctionalGroupsSequence = [group(*wrong), group(*AXIAL)]
    assert plane_orientations(header, 2) == [None, AXIAL]
