"""A training that is killed goes on to the same weights; processes that average agree."""

import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.errors import ModelError
from models.dermoscopy.lite import LiteNet
from models.threads import cpu_threads
from tests.support.ham import make_ham
from tests.support.isic import make_isic
from training.dermoscopy_7class import checkpoints
from training.dermoscopy_7class.archives import read_entries
from training.dermoscopy_7class.exchange import Exchange
from training.dermoscopy_7class.fit import fit, frozen
from training.dermoscopy_7class.images import Images, load_images
from training.dermoscopy_7class.predict import averaged
from training.dermoscopy_7class.recipe import Recipe, rate, side_px

TINY = Recipe(steps=3, processes=1, batch=4, first_px=32, last_px=32, exchange_every=1, pretrained=False, frozen_stages=0)


def images_of(data: Path, cache: Path) -> Images:
    return load_images(data, cache, read_entries(data, 0), report=lambda _: None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_isic(make_ham(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def images(data: Path) -> Images:
    return images_of(data, data)


def quiet(line: str) -> None:
    """No output."""


def killed_at_step_1(images: Images, out: Path) -> int:
    """A process of its own that trains and is killed (SIGKILL) right after step 1; its exit code. A fork spares the import of torch."""

    def kill(line: str) -> None:
        if line.startswith("step 1/"):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            fit(images, out, TINY, save_every=1, progress=kill)
        finally:
            os._exit(1)  # only reached where it was not killed
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def assert_equal(one: torch.nn.Module, other: torch.nn.Module) -> None:
    for (name, left), right in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert left.equal(right), name


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12: torch has threads, which the child does not use
def test_killed_and_resumed_gives_the_same_bits(images: Images, tmp_path: Path) -> None:
    with cpu_threads(1):
        straight = fit(images, tmp_path / "straight", TINY, save_every=1, progress=quiet)
        assert killed_at_step_1(images, tmp_path / "killed") == -signal.SIGKILL
        assert checkpoints.steps(tmp_path / "killed" / "rank0") == [1]
        said: list[str] = []
        resumed = fit(images, tmp_path / "killed", TINY, save_every=1, progress=said.append)
    assert said[0] == "going on after step 1"
    assert checkpoints.steps(tmp_path / "killed" / "rank0") == [2, 3]
    assert_equal(straight, resumed)
    net, step = averaged(tmp_path / "killed")
    assert step == 3
    assert_equal(net, resumed)
    with pytest.raises(ModelError, match="another recipe"):
        fit(images, tmp_path / "killed", replace(TINY, batch=5), save_every=1, progress=quiet)


def test_a_changed_number_of_steps_is_recorded(images: Images, tmp_path: Path) -> None:
    with cpu_threads(1):
        fit(images, tmp_path, TINY, save_every=1, stop_at=1, progress=quiet)
        fit(images, tmp_path, replace(TINY, steps=2), save_every=1, progress=quiet)
    assert checkpoints.checkpoint.state(tmp_path / "rank0" / "step-000002")["plans"] == [[0, 3], [1, 2]]


def test_frozen_parts_stay_and_the_rest_learns(images: Images, tmp_path: Path) -> None:
    source = LiteNet(7).trunk.state_dict()
    flat = {".".join(n.split(".")[:1] + n.split(".")[2:]) if n.startswith("_blocks.") else n: v for n, v in source.items()}
    torch.save(flat, tmp_path / "imagenet.pth")
    recipe = Recipe(steps=1, processes=1, batch=4, first_px=32, last_px=32, exchange_every=1, ema_decay=0.5, frozen_stages=2)
    with cpu_threads(1):
        net = fit(images, tmp_path / "out", recipe, save_every=1, imagenet=tmp_path / "imagenet.pth", progress=quiet)
    kept = {f"trunk.{name}" for name in source if name.startswith(("_conv_stem", "_bn0", "_blocks.0.", "_blocks.1."))}
    for name, value in net.state_dict().items():
        if name in kept:
            assert value.equal(source[name.removeprefix("trunk.")]), name
    assert not net.state_dict()["trunk._conv_head.weight"].equal(source["_conv_head.weight"])
    assert len(frozen(net, recipe)) == 4


def test_two_processes_average_their_weights_and_hold_the_same_bits(images: Images, tmp_path: Path) -> None:
    nets = [torch.nn.BatchNorm1d(3) for _ in range(2)]
    for number, net in enumerate(nets):
        torch.nn.init.constant_(net.weight, float(number))
        net.running_mean = torch.full((3,), 4.0 * number)
    meeting = [Exchange(tmp_path, rank, 2, timeout_s=20) for rank in range(2)]
    threads = [threading.Thread(target=meeting[rank].average, args=(8, nets[rank])) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_equal(*nets)
    assert nets[0].weight.tolist() == [0.5] * 3
    assert nets[0].running_mean.tolist() == [2.0] * 3
    with pytest.raises(ModelError, match=r"16-1\.safetensors"):
        Exchange(tmp_path, 0, 2, timeout_s=0.1).average(16, nets[0])


def test_the_newest_step_that_all_have_is_gone_on_from(tmp_path: Path) -> None:
    for rank, steps in enumerate(((8, 16), (16, 24))):
        for step in steps:
            (tmp_path / f"rank{rank}" / f"step-{step:06d}").mkdir(parents=True)
            (tmp_path / f"rank{rank}" / f"step-{step:06d}" / "checkpoint.safetensors").touch()
    assert checkpoints.common_step([tmp_path / "rank0", tmp_path / "rank1"]) == 16
    assert checkpoints.common_step([tmp_path / "rank0", tmp_path / "none"]) is None


def test_the_schedule_warms_up_falls_and_ends_on_large_images() -> None:
    recipe = Recipe(steps=100)
    rates = [rate(step, recipe) for step in range(100)]
    assert max(rates) == pytest.approx(recipe.learning_rate)
    assert rates.index(max(rates)) < 10
    assert rates[:5] == sorted(rates[:5])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.02 * recipe.learning_rate
    assert [side_px(step, recipe) for step in (0, 59, 60, 99)] == [128, 128, 160, 160]
