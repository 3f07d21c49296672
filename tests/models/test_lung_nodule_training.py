"""Training of the nodule network in small: patches, a few steps, interruption and resumption."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from models.lung_nodule_ct import bank, fit, network
from models.lung_nodule_ct.augment import CROP, batch
from models.lung_nodule_ct.scene import PLACES, Scene, draw_site, prepare
from models.threads import cpu_threads


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
    patches = bank.build([scene], tmp_path, seed=0, size=10, progress=lambda _: None)
    assert patches.hu.shape == (10, bank.EDGE, bank.EDGE, bank.EDGE)
    assert patches.positive.sum() >= 4
    for i in np.flatnonzero(patches.positive):
        inside = patches.label[i] == bank.NODULE
        assert patches.hu[i][inside].mean() > patches.hu[i][patches.label[i] == bank.BACKGROUND].min() + 100
    values, marks = batch(patches, np.random.default_rng(0), 4)
    assert values.shape == marks.shape == (4, 1, CROP, CROP, CROP)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1


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
