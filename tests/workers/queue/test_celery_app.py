"""The broker's settings, what a child gets of the machine, the drain flag, and the relay's patience."""

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from core.errors import ConfigurationError, StorageError
from core.settings.settings import Settings
from db.roles.back_off import FIRST_PAUSE_S
from deploy.settings_file import load_settings
from workers.attempt import device
from workers.attempt.drain_flag import DrainFlag
from workers.queue.celery_app import make_app, publisher
from workers.queue.queue_names import QUEUES
from workers.queue.relay import Step
from workers.queue.worker import run_worker

BROKER = {"DICOM_NODE_BROKER__URL": "redis://127.0.0.1:1/0"}


def settings(**environ: str) -> Settings:
    return load_settings(None, {**BROKER, **environ})


def test_a_running_task_is_not_handed_out_again() -> None:
    app = make_app(settings(DICOM_NODE_WORKER__SOFT_TIME_LIMIT_S="100", DICOM_NODE_WORKER__HARD_TIME_LIMIT_S="2000"))
    assert app.conf.broker_transport_options["visibility_timeout"] > 2 * app.conf.task_time_limit == 4000
    assert app.conf.task_soft_time_limit == 100


def test_nothing_that_is_executed_when_read_is_accepted() -> None:
    app = make_app(settings())
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.result_backend is None
    assert not app.conf.worker_enable_remote_control


def test_messages_survive_their_worker_and_wait_at_nobody() -> None:
    app = make_app(settings())
    assert app.conf.task_acks_late
    assert app.conf.task_reject_on_worker_lost
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.worker_proc_alive_timeout >= 180
    assert sorted(queue.name for queue in app.conf.task_queues) == sorted(QUEUES)


def test_the_publisher_does_not_wait_for_ever() -> None:
    assert publisher(settings()).conf.broker_transport_options["socket_timeout"] <= 10
    assert "socket_timeout" not in make_app(settings()).conf.broker_transport_options


@pytest.mark.parametrize(
    ("environ", "queues", "expected"),
    [
        ({}, ["infer.night"], r"infer\.night"),
        ({}, [], "none"),
        ({}, None, "database"),
        ({"DICOM_NODE_BROKER__URL": "", "DICOM_NODE_DATABASE__URL": "postgresql://localhost/x"}, None, "broker"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(environ: dict[str, str], queues: list[str] | None, expected: str) -> None:
    with pytest.raises(ConfigurationError, match=expected):
        run_worker(settings(**environ), queues)


@pytest.mark.parametrize(("visible", "expected"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("GPU-5f", ["GPU-5f"])])
def test_gpus_that_the_environment_names(visible: str, expected: list[str]) -> None:
    assert device.devices({"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_gpus_that_the_machine_has(tmp_path: Path) -> None:
    for name in ("nvidia1", "nvidia0", "nvidiactl", "null"):
        (tmp_path / name).touch()
    assert device.devices({}, tmp_path) == ["0", "1"]
    assert device.devices({}, tmp_path / "absent") == []


def test_each_child_gets_its_gpu_and_its_share_of_threads() -> None:
    environ = {"CUDA_VISIBLE_DEVICES": "4,5"}
    assert [device.claim_share(index, 3, dict(environ)) for index in range(3)] == ["4", "5", "4"]
    device.claim_share(1, 3, environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": "5", "OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
    bare: dict[str, str] = {"CUDA_VISIBLE_DEVICES": ""}
    assert device.claim_share(0, 1, bare) == ""


@pytest.mark.parametrize(("wanted", "children", "cores", "expected"), [(0, 2, 8, 4), (0, 16, 8, 1), (3, 4, 8, 3), (0, 0, 2, 2)])
def test_threads(wanted: int, children: int, cores: int, expected: int) -> None:
    assert device.threads_of_child(wanted, children, cores) == expected


def test_memory_is_known() -> None:
    assert 10 < device.resident_mib() < 1 << 20


def test_drain_flag_is_seen_by_children_again_and_again() -> None:
    flag = DrainFlag()
    assert not flag.is_set()
    child = os.fork()
    if child == 0:  # says by its status what it sees: nothing first, then the flag, twice
        flag.close_writing_end()
        before = flag.is_set()
        time.sleep(0.5)
        os._exit(0 if (before, flag.is_set(), flag.is_set()) == (False, True, True) else 1)
    time.sleep(0.2)
    flag.set()
    assert os.waitpid(child, 0)[1] == 0
    assert flag.is_set()


def test_drain_flag_of_a_dead_parent_is_set() -> None:
    flag = DrainFlag()
    flag.close_writing_end()  # the last writing end is closed
    assert flag.is_set()


def test_a_step_that_fails_waits_longer_each_time_and_recovers() -> None:
    calls: list[float] = []
    down = [True]

    def act() -> None:
        calls.append(time.monotonic())
        if down[0]:
            raise StorageError("gone")

    step = Step("act", act, 0.0)
    began = time.monotonic()
    while time.monotonic() - began < 1.6:
        step.take()
        time.sleep(0.01)
    assert 3 <= len(calls) <= 4  # at 0, 0.2, 0.6 and 1.4 s
    pauses = [later - earlier for earlier, later in pairwise(calls)]
    assert pauses[0] >= FIRST_PAUSE_S
    assert pauses[1] >= 2 * FIRST_PAUSE_S
    down[0] = False
    step.take(always=True)
    step.take()
    step.take()
    assert len(calls) >= 6


def test_a_defect_in_a_step_is_not_hidden() -> None:
    def act() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Step("act", act, 0.0).take()
