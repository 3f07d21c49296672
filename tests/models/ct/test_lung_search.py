"""Lungs in the images of a series, for the routes."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.policy.routes.body_part.condition import NOT_SEEN, SEEN
from models.ct.lung_search import search_lungs
from tests.support.series import image

SIDE, SLICES, STEP_MM = 96, 30, 12.0


def trunk(lungs: range) -> NDArray[np.int16]:
    """HU of an elliptic trunk of 330 mm width, with lungs on some of its slices and bowel gas on the others."""
    y, x = np.mgrid[:SIDE, :SIDE] * (360 / SIDE)
    hu = np.full((SLICES, SIDE, SIDE), -1000, np.int16)
    hu[:, ((y - 180) / 120) ** 2 + ((x - 180) / 165) ** 2 < 1] = 40
    for k in range(SLICES):
        if k in lungs:
            for middle in (108, 252):
                hu[k, ((y - 170) / 85) ** 2 + ((x - middle) / 52) ** 2 < 1] = -850
        elif k % 3 == 0:
            hu[k : k + 2, (y - 150) ** 2 + (x - 180) ** 2 < 18**2] = -1000
    return hu


def written(folder: Path, hu: NDArray[np.int16], **changes: object) -> list[Path]:
    folder.mkdir()
    paths = []
    for number, plane in enumerate(hu, 1):
        dataset = image(number=number, side=SIDE, thickness=STEP_MM, PixelSpacing=[360 / SIDE] * 2, **changes)
        dataset.PixelData = (plane + 1024).astype(np.int16).tobytes()
        paths.append(folder / f"{number}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


@pytest.mark.parametrize(
    ("lungs", "seen"),
    [
        (range(8, 27), True),  # a chest
        (range(20), True),  # cut at the lower end
        (range(26, 30), False),  # the bases in a CT of the abdomen
        (range(3), False),  # the tips in a CT of the neck
        (range(0), False),
    ],
)
def test_lungs_count_as_the_chest_where_there_is_enough_of_them(tmp_path: Path, lungs: range, seen: bool) -> None:
    answer, words = search_lungs(written(tmp_path / "s", trunk(lungs)))
    assert (answer, "30 images looked at" in words) == (SEEN if seen else NOT_SEEN, True), words


def test_a_short_piece_of_a_chest_and_a_single_image_count(tmp_path: Path) -> None:
    paths = written(tmp_path / "s", trunk(range(8, 27)))
    assert search_lungs(paths[10:15])[0] == SEEN
    assert search_lungs(paths[15:16]) == (SEEN, "lungs in 1 image looked at")
    assert search_lungs(paths[2:3]) == (NOT_SEEN, "no lungs in 1 image looked at")


def test_what_is_no_axial_ct_or_cannot_be_read_shows_none(tmp_path: Path) -> None:
    coronal = written(tmp_path / "coronal", trunk(range(8, 27))[:6], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    assert search_lungs(coronal) == (NOT_SEEN, "no axial CT images with a position")
    (tmp_path / "noise").write_bytes(b"\0\1" * 400)
    for paths in ([tmp_path / "noise"], written(tmp_path / "mr", trunk(range(0))[:2], Modality="MR")):
        answer, words = search_lungs(paths)
        assert (answer, words.startswith("the images cannot be read")) == (NOT_SEEN, True)


def test_files_that_are_missing_or_cannot_be_read_now_are_no_images_without_lungs(tmp_path: Path) -> None:
    paths = written(tmp_path / "s", trunk(range(8, 27))[:6])
    header_only = paths[3].read_bytes()[:2000]
    paths[3].unlink()
    with pytest.raises(FileNotFoundError):
        search_lungs(paths)
    paths[3].symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match=r"\[Errno"):
        search_lungs(paths)
    paths[3].unlink()
    paths[3].write_bytes(header_only)
    assert search_lungs(paths)[0] == NOT_SEEN
