"""Training of the nodule network in small: patches, a few steps, interruption and resumption."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from models.ct.lung_field import LungField
from models.lung_nodule_ct import network, two_stages
from models.lung_nodule_ct.candidates import find_candidates
from models.torch_threads import cpu_threads
from tests.support.lung_like import small_chest
from training import checkpoint
from training.lung_nodule_ct.fit import first_stage, second_stage
from training.lung_nodule_ct.patches import candidate_examples, draw_patch, patch_bank
from training.lung_nodule_ct.patches.augment import CROP, apply_placement, random_batch, random_placement
from training.lung_nodule_ct.series.training_series import PLACES, TrainingSeries, draw_site, prepare_series

PATCHES = 8


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """One CPU thread, on which the bits of a training depend, and small batches."""
    with pytest.MonkeyPatch.context() as patch, cpu_threads(1):
        patch.setattr(first_stage, "BATCH", 3)
        patch.setattr(second_stage, "BATCH", 4)
        yield


@pytest.fixture(scope="module")
def series() -> TrainingSeries:
    return prepare_series("small chest", small_chest(), (3.0, 2.0, 2.0), seed=0)


@pytest.fixture(scope="module")
def bank_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all trainings of this file share their patches."""
    return tmp_path_factory.mktemp("bank")


@pytest.fixture(scope="module")
def trained(series: TrainingSeries, bank_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a first stage that was trained for two epochs without interruption."""
    return train_first(series, tmp_path_factory.mktemp("straight"), bank_folder)


def train_first(series: TrainingSeries, out: Path, bank_folder: Path, until: int | None = None, lines: list[str] | None = None) -> Path:
    return first_stage.train_first_stage(
        [series], out, seed=1, epochs=2, steps=2, patches=PATCHES, bank_folder=bank_folder, until=until,
        progress=(lines if lines is not None else []).append,
    )  # fmt: skip


def arrays(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_file(path).items()}


def test_sites_are_in_the_lungs_and_clear_of_suspicious_regions(series: TrainingSeries) -> None:
    rng = np.random.default_rng(2)
    for place in PLACES:
        at = draw_site(series, rng, 8.0, place)
        assert at is not None
        z, y, x = (round(v) for v in at)
        assert series.hu[z, y, x] < 100
        assert series.distance_to_suspicious(at) > 10.0


def test_patches_have_labelled_nodules_and_batches_the_right_shape(series: TrainingSeries, bank_folder: Path) -> None:
    patches = patch_bank.build_bank([series], bank_folder, seed=1, size=PATCHES, progress=lambda _: None)
    assert patches.hu[0].shape == (PATCHES, draw_patch.EDGE, draw_patch.EDGE, draw_patch.EDGE)
    assert patches.positive.sum() >= 4
    for i in np.flatnonzero(patches.positive):
        hu, label = patches.patch(int(i))
        assert hu[label == draw_patch.NODULE].mean() > hu[label == draw_patch.BACKGROUND].min() + 100
    values, labels = random_batch(patches, np.random.default_rng(0), 4)
    assert values.shape == labels.shape == (4, 1, CROP, CROP, CROP)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert (labels == draw_patch.NODULE).any(axis=(1, 2, 3, 4)).sum() >= 2


def test_trainings_that_leave_a_series_out_share_its_patches(series: TrainingSeries, tmp_path: Path) -> None:
    other = dataclasses.replace(series, name="another")
    both = patch_bank.build_bank([series, other], tmp_path / "both", seed=0, size=2, progress=lambda _: None)
    alone = patch_bank.build_bank([other], tmp_path / "alone", seed=0, size=2, progress=lambda _: None)
    assert np.array_equal(both.patch(3)[0], alone.patch(1)[0])
    assert not np.array_equal(both.patch(1)[0], alone.patch(1)[0])


def test_the_label_moves_with_the_image() -> None:
    rng = np.random.default_rng(3)
    hu = np.full((draw_patch.EDGE,) * 3, -850, np.int16)
    label = np.zeros(hu.shape, np.uint8)
    hu[20:30, 35:42, 28:40], label[20:30, 35:42, 28:40] = 40, draw_patch.NODULE
    for _ in range(6):
        values, labels = apply_placement(hu[None], label[None], random_placement(label, rng)[None])
        inside = labels[0] == draw_patch.NODULE
        assert inside.any()
        assert values[0][inside].mean() > -250
        assert values[0][labels[0] == draw_patch.BACKGROUND].mean() < -800


def test_interrupted_training_ends_with_the_same_weights(series: TrainingSeries, trained: Path, bank_folder: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    straight = arrays(trained)
    halfway = arrays(train_first(series, tmp_path / "broken", bank_folder, until=1, lines=lines))
    resumed = arrays(train_first(series, tmp_path / "broken", bank_folder, lines=lines))
    assert any(line.startswith("resumed after epoch 1") for line in lines)
    assert any("loss" in line for line in lines)
    assert any(not np.array_equal(halfway[name], resumed[name]) for name in resumed)
    for name, value in straight.items():
        assert np.array_equal(value, resumed[name]), name
    assert set(straight) == set(network.build().state_dict())


def test_the_second_stage_learns_from_candidates_and_resumes_after_an_interruption(
    series: TrainingSeries, trained: Path, bank_folder: Path, tmp_path: Path
) -> None:
    def train(out: Path, epochs: int) -> dict[str, np.ndarray]:
        path = second_stage.train_second_stage(
            trained, [series], out, seed=1, bank_folder=bank_folder, patches=PATCHES, epochs=2, steps=2, looks=8, until=epochs,
            progress=lambda _: None,
        )  # fmt: skip
        return arrays(path)

    straight = train(tmp_path / "straight", 2)
    train(tmp_path / "broken", 1)
    resumed = train(tmp_path / "broken", 2)
    for name, value in straight.items():
        assert np.array_equal(value, resumed[name]), name
    assert (tmp_path / "straight" / "weights.safetensors").read_bytes() == (tmp_path / "broken" / "weights.safetensors").read_bytes()
    assert [entry["epoch"] for entry in checkpoint.read_state(tmp_path / "broken")["history"]] == [1, 2]
    nodule = np.load(tmp_path / "straight" / "nodule.npy")
    cubes = np.load(tmp_path / "straight" / "cubes.npy")
    assert cubes.shape == (len(nodule), candidate_examples.KEPT, candidate_examples.KEPT, candidate_examples.KEPT)
    assert 0 < nodule.sum() < len(nodule)


def one_lung(lungs: LungField) -> LungField:
    """The upper half of one lung: the network takes a sixth of the time."""
    field = lungs.field.copy()
    field[:, :, field.shape[2] // 2 :] = False
    field[field.shape[0] // 2 :] = False
    return dataclasses.replace(lungs, field=field)


def test_both_stages_in_one_file_score_the_regions(series: TrainingSeries, trained: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.safetensors"
    save_file({k: v.contiguous() for k, v in second_stage.initialised_network(trained).state_dict().items()}, second)
    joined = two_stages.join_weights(trained, second, tmp_path / "weights.safetensors")
    detector = two_stages.TwoStageDetector(joined, two_stages.SETTINGS)
    heat = detector.heat(one_lung(series.lungs), series.hu, series.spacing_mm)
    level = float(np.quantile(heat.values, 0.9999))  # a few dozen regions
    largest = max(c.volume_mm3 for c in find_candidates(heat, {"heat": level, "volume_mm3": 1.0}))
    regions = detector.scored_regions(heat, {"heat": level, "volume_mm3": largest / 2})
    assert regions
    assert all(0.0 <= score <= 1.0 for _, score in regions)
    both = two_stages.combine_scores(regions, {"second_weight": 0.5}, 0.0)
    assert [c.score for c in both] == sorted((c.score for c in both), reverse=True)
    first = {round(c.score, 6) for c in two_stages.combine_scores(regions, {"second_weight": 0.0}, 0.0)}
    assert first <= {round(c.score, 6) for c, _ in regions}  # one of those that lie in one nodule
    assert max(first) == max(round(c.score, 6) for c, _ in regions)
