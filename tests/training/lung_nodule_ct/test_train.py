"""Training of the nodule network in small: patches, a few steps, interruption and resumption."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from models.lung_nodule_ct import candidates, detector, network
from models.torch_threads import cpu_threads
from training import checkpoint
from training.lung_nodule_ct import fit, fit_second, gather_candidates, patch_bank
from training.lung_nodule_ct.augment import CROP, batch, placed, placement
from training.lung_nodule_ct.scene import PLACES, Scene, draw_site, prepare


def made_up_series() -> np.ndarray:
    """(Z, Y, X) HU at 3 x 2 x 2 mm: two lungs with vessels, noise."""
    rng = np.random.default_rng(1)
    z, y, x = np.ogrid[-90:90:3, -140:140:2, -170:170:2]
    hu = np.full((60, 140, 170), -1000.0)
    hu[np.broadcast_to((y / 110) ** 2 + (x / 150) ** 2 < 1, hu.shape)] = 40
    for side in (-65, 65):
        hu[(z / 80) ** 2 + (y / 75) ** 2 + ((x - side) / 50) ** 2 < 1] = -850
        hu[np.broadcast_to(((x - side) / 5) ** 2 + ((y - 20) / 5) ** 2 < 1, hu.shape)] = 40  # a vessel from end to end
    return (hu + rng.normal(0, 15, hu.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return prepare("made up", made_up_series(), (3.0, 2.0, 2.0), seed=0)


def test_sites_are_in_the_lungs_and_clear_of_suspicious_regions(scene: Scene) -> None:
    rng = np.random.default_rng(2)
    for place in PLACES:
        at = draw_site(scene, rng, 8.0, place)
        assert at is not None
        z, y, x = (round(v) for v in at)
        assert scene.hu[z, y, x] < 100
        assert scene.away(at) > 10.0


def test_patches_have_labelled_nodules_and_batches_the_right_shape(scene: Scene, tmp_path: Path) -> None:
    patches = patch_bank.build([scene], tmp_path, seed=0, size=10, progress=lambda _: None)
    assert patches.hu[0].shape == (10, patch_bank.EDGE, patch_bank.EDGE, patch_bank.EDGE)
    assert patches.positive.sum() >= 4
    for i in np.flatnonzero(patches.positive):
        hu, label = patches.patch(int(i))
        assert hu[label == patch_bank.NODULE].mean() > hu[label == patch_bank.BACKGROUND].min() + 100
    values, marks = batch(patches, np.random.default_rng(0), 4)
    assert values.shape == marks.shape == (4, 1, CROP, CROP, CROP)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert (marks == patch_bank.NODULE).any(axis=(1, 2, 3, 4)).sum() >= 2


def test_trainings_that_leave_a_series_out_share_its_patches(scene: Scene, tmp_path: Path) -> None:
    other = dataclasses.replace(scene, name="another")
    both = patch_bank.build([scene, other], tmp_path / "both", seed=0, size=3, progress=lambda _: None)
    alone = patch_bank.build([other], tmp_path / "alone", seed=0, size=3, progress=lambda _: None)
    assert np.array_equal(both.patch(4)[0], alone.patch(1)[0])
    assert not np.array_equal(both.patch(1)[0], alone.patch(1)[0])


def test_the_label_moves_with_the_image() -> None:
    rng = np.random.default_rng(3)
    hu = np.full((patch_bank.EDGE,) * 3, -850, np.int16)
    label = np.zeros(hu.shape, np.uint8)
    hu[20:30, 35:42, 28:40], label[20:30, 35:42, 28:40] = 40, patch_bank.NODULE
    for _ in range(6):
        values, marks = placed(hu[None], label[None], placement(label, rng)[None])
        inside = marks[0] == patch_bank.NODULE
        assert inside.any()
        assert values[0][inside].mean() > -250
        assert values[0][marks[0] == patch_bank.BACKGROUND].mean() < -800


def test_the_second_stage_learns_from_candidates_and_goes_on_after_an_interruption(scene: Scene, tmp_path: Path) -> None:
    said: list[str] = []
    with cpu_threads(1):
        bank_folder = tmp_path / "bank"
        first = fit.fit([scene], tmp_path / "first", seed=1, epochs=1, steps=1, patches=8, bank_folder=bank_folder, progress=said.append)

        def train(out: Path, epochs: int) -> dict[str, np.ndarray]:
            path = fit_second.fit_second(
                first, [scene], out, seed=1, bank_folder=bank_folder, patches=8, epochs=2, steps=2, looks=16, until=epochs,
                progress=said.append,
            )  # fmt: skip
            return {name: value.numpy() for name, value in load_file(path).items()}

        straight = train(tmp_path / "straight", 2)
        train(tmp_path / "broken", 1)
        resumed = train(tmp_path / "broken", 2)
    for name, value in straight.items():
        assert np.array_equal(value, resumed[name]), name
    assert (tmp_path / "straight" / "weights.safetensors").read_bytes() == (tmp_path / "broken" / "weights.safetensors").read_bytes()
    assert [entry["epoch"] for entry in checkpoint.state(tmp_path / "broken")["history"]] == [1, 2]
    nodule = np.load(tmp_path / "straight" / "nodule.npy")
    cubes = np.load(tmp_path / "straight" / "cubes.npy")
    assert cubes.shape == (len(nodule), gather_candidates.KEPT, gather_candidates.KEPT, gather_candidates.KEPT)
    assert 0 < nodule.sum() < len(nodule)
    joined = detector.join(first, tmp_path / "straight" / "weights.safetensors", tmp_path / "weights.safetensors")
    ready = detector.Detector(joined, detector.SETTINGS)
    heat = ready.heat(scene.lungs, scene.hu, scene.spacing_mm)
    level = float(np.quantile(heat.values, 0.999))
    largest = max(c.volume_mm3 for c in candidates.candidates(heat, {"heat": level, "volume_mm3": 1.0}))
    looks = ready.looks(heat, {"heat": level, "volume_mm3": largest / 2})
    assert looks
    assert all(0.0 <= look <= 1.0 for _, look in looks)
    both = detector.together(looks, 0.5, 0.0)
    assert [c.score for c in both] == sorted((c.score for c in both), reverse=True)
    assert {round(c.score, 6) for c in detector.together(looks, 0.0, 0.0)} == {round(c.score, 6) for c, _ in looks}


def test_interrupted_training_ends_with_the_same_weights(scene: Scene, tmp_path: Path) -> None:
    said: list[str] = []

    def train(out: Path, until: int | None = None) -> dict[str, np.ndarray]:
        path = fit.fit([scene], out, seed=1, epochs=2, steps=2, patches=8, progress=said.append, until=until)
        return {name: value.numpy() for name, value in load_file(path).items()}

    with cpu_threads(1):
        straight = train(tmp_path / "straight")
        halfway = train(tmp_path / "broken", until=1)
        resumed = train(tmp_path / "broken")
    assert any(line.startswith("resumed after epoch 1") for line in said)
    assert any("loss" in line for line in said)
    assert any(not np.array_equal(halfway[name], resumed[name]) for name in resumed)
    for name, value in straight.items():
        assert np.array_equal(value, resumed[name]), name
    assert set(straight) == set(network.build().state_dict())
