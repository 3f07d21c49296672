"""GPU, threads and memory of a child."""

from pathlib import Path

import pytest

from workers.child import device


@pytest.mark.parametrize(
    ("visible", "expected"), [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2, 0,-1,1", ["2", "0"]), ("GPU-5f", ["GPU-5f"])]
)
def test_gpus_that_the_environment_names(visible: str, expected: list[str]) -> None:
    assert device.devices({"CUDA_VISIBLE_DEVICES": visible}) == expected


def test_gpus_that_the_machine_has(tmp_path: Path) -> None:
    for name in ("nvidia1", "nvidia0", "nvidiactl", "null"):
        (tmp_path / name).touch()
    assert device.devices({}, tmp_path) == ["0", "1"]
    assert device.devices({}, tmp_path / "absent") == []


def test_cuda_numbers_the_gpus_of_a_container_from_0(tmp_path: Path) -> None:
    """Kubernetes gives a container some of the machine's GPUs, under the names that they have on the machine."""
    for name in ("nvidia3", "nvidia11", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert device.devices({}, tmp_path) == ["0", "1"]


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
