"""Synthetic images: reproducible, valid, with what they claim to contain."""

import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from deploy.demo.synthetic.anatomy import ChestGrid
from deploy.demo.synthetic.chest import Chest, chest_datasets, make_chest, synthetic_identity, write_chest
from deploy.demo.synthetic.lesion import lesion_dataset, lesion_identity, make_lesion
from deploy.demo.synthetic.uids import synthetic_uid
from imaging.headers.instance_header import read_header
from tests.support.transcode import transcode


@pytest.fixture(scope="module")
def chest() -> Chest:
    """A small synthetic chest."""
    return make_chest(11, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,))


def test_the_same_seed_gives_the_same_bytes(chest: Chest, tmp_path: Path) -> None:
    again = make_chest(11, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,))
    np.testing.assert_array_equal(chest.hu, again.hu)
    assert chest.nodules == again.nodules
    one, other = write_chest(tmp_path / "a", chest), write_chest(tmp_path / "b", again)
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in other]
    assert make_lesion(2, size=(60, 80)).jpeg == make_lesion(2, size=(60, 80)).jpeg


def test_another_seed_gives_another_chest(chest: Chest) -> None:
    other = make_chest(12, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,))
    assert not np.array_equal(chest.hu, other.hu)
    assert chest.nodules != other.nodules
    uids = {ds.SOPInstanceUID for one in (chest, other) for ds in chest_datasets(one)}
    assert len(uids) == 40
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)


def test_tissues_have_their_densities() -> None:
    chest = make_chest(1, slices=60, size=128, pixel_mm=358 / 128)
    middle = chest.hu[30]
    assert np.median(middle[:4]) == pytest.approx(-1000, abs=30)  # air around
    lung = ((middle > -930) & (middle < -750)).mean()
    assert 0.12 < lung < 0.45
    assert (middle > 200).any()  # bone
    assert ((middle > 0) & (middle < 110)).mean() > 0.15  # soft tissue
    assert (chest.hu[45] < -950)[50:80, 55:75].any()  # the trachea


@pytest.mark.parametrize("diameter", [5.0, 10.0, 20.0])
def test_nodules_have_their_size_and_position(diameter: float) -> None:
    chest = make_chest(3, slices=100, size=200, slice_mm=1.5, pixel_mm=1.0, diameters_mm=(diameter,))
    (nodule,) = chest.nodules
    spacing, origin = np.array(chest.spacing_mm), np.array(chest.origin_mm)[::-1]
    centre = (np.array(nodule.position_mm)[::-1] - origin) / spacing
    axes = np.ogrid[tuple(slice(n) for n in chest.hu.shape)]
    distance = sum(((axis - c) * mm) ** 2 for axis, c, mm in zip(axes, centre, spacing, strict=True)) ** 0.5
    solid = (distance < diameter / 2 + 2.5) & (chest.hu > -400)
    volume_mm3 = solid.sum() * spacing.prod()
    assert (6 * volume_mm3 / np.pi) ** (1 / 3) == pytest.approx(diameter, rel=0.12, abs=0.6)
    np.testing.assert_allclose(np.argwhere(solid).mean(0) * spacing + origin, nodule.position_mm[::-1], atol=1.0)


def test_a_nodule_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(ValueError, match="no space for a nodule of 90"):
        make_chest(1, slices=20, size=64, pixel_mm=2.0, diameters_mm=(90.0,))


def test_a_small_chest_is_quick() -> None:
    started = time.process_time()
    make_chest(1, slices=20, size=64, pixel_mm=4.0, diameters_mm=(10.0,))
    assert time.process_time() - started < 2.0


def test_dciodvfy_finds_no_error(chest: Chest, tmp_path: Path) -> None:
    paths = write_chest(tmp_path, chest)
    header = read_header(paths[0])
    assert header.tolerated == ()
    assert header.instance_number == 1
    assert header.patient_id == synthetic_identity(11).patient_id
    if shutil.which("dciodvfy"):
        for name in ("explicit", "jpeg_lossless_sv1", "jpeg_2000"):
            transcode(pydicom.dcmread(paths[0]), name).save_as(tmp_path / "t.dcm", enforce_file_format=True)
            said = subprocess.run(["dciodvfy", str(tmp_path / "t.dcm")], capture_output=True, text=True, check=False).stderr
            assert "Error" not in said


def test_grid_is_centred() -> None:
    grid = ChestGrid(4, 8, 3.0, 2.0)
    assert grid.z_mm().tolist() == [-4.5, -1.5, 1.5, 4.5]
    assert grid.x_mm().sum() == 0


def test_lesions_are_dark_where_their_mask_is() -> None:
    import io

    from PIL import Image

    for seed in range(6):
        lesion = make_lesion(seed, size=(120, 160))
        rgb = np.asarray(Image.open(io.BytesIO(lesion.jpeg)), float).mean(-1)
        assert 0.02 < lesion.mask.mean() < 0.6
        assert rgb[lesion.mask].mean() < rgb[~lesion.mask].mean() - 20


def test_lesion_datasets_differ_by_seed() -> None:
    one, other = lesion_dataset(1, size=(60, 80)), lesion_dataset(2, size=(60, 80))
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert one[keyword].value != other[keyword].value
    assert one.PatientID == lesion_identity(1).patient_id


def test_uids_are_made_of_their_parts() -> None:
    assert synthetic_uid(1, "a") == synthetic_uid(1, "a")
    assert len({synthetic_uid(1, "a"), synthetic_uid(1, "b"), synthetic_uid(2, "a")}) == 3
    assert synthetic_uid(1).startswith("2.25.")
    assert len(synthetic_uid(1)) <= 64
