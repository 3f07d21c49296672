"""Loading a model by its name: devices, lazy imports, weights that do not fit."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import ModelError, OutOfMemory
from models import registry, runtime
from tests.support.model_packages import other_version

NAME = "dermoscopy_7class"
HEADER_TOO_LARGE = b"\xff" * 64


def test_a_loaded_model_has_the_identity_of_its_card() -> None:
    model = runtime.load(NAME, device="cpu")
    assert model.card == registry.card(NAME)
    assert model.device == "cpu"
    assert model.identity.digest == registry.pipeline_digest(NAME)
    model.warm_up()


def test_auto_takes_cuda_where_there_is_one() -> None:
    assert runtime.choose_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert runtime.choose_device("cpu") == "cpu"


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ModelError, match="device is one of auto, cpu, cuda, not 'tpu'"):
        runtime.load(NAME, device="tpu")


def test_cuda_is_refused_where_none_is_visible() -> None:
    code = (
        "from models import runtime; from core.errors import ModelError\n"
        "try: runtime.choose_device('cuda')\n"
        "except ModelError as error: print(error)\n"
    )
    hidden = {"CUDA_VISIBLE_DEVICES": "", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=registry.MODELS_FOLDER.parent, env=hidden, capture_output=True, text=True, check=True
    )
    assert "there is none" in done.stdout
    assert "set the device to auto or cpu" in done.stdout


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dermoscopy"
    shutil.copytree(registry.folder(NAME), folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    tensors = load_file(folder / "weights.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, folder / "weights.safetensors")
    card = folder / "card.toml"
    digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    card.write_text(card.read_text().replace(registry.card(NAME).weights_sha256, digest))
    with pytest.raises(ModelError, match="do not fit the network"):
        runtime.load_folder(folder, device="cpu", package="dermoscopy")


@pytest.mark.parametrize(
    ("change", "says"),
    [({"second": None}, "does not fit the code of this release"), ({"channels": [8, 16, 32, 64]}, "the weights do not fit")],
)
def test_a_card_that_the_code_cannot_run_is_an_error_that_a_worker_survives(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    network = {**registry.card("lung_nodule_ct").network, **change}
    brought = other_version("lung_nodule_ct", tmp_path / "brought", network={key: one for key, one in network.items() if one is not None})
    with pytest.raises(ModelError, match=says):
        runtime.load_folder(brought, device="cpu", package="lung_nodule_ct")


def test_weights_that_are_no_safetensors_are_an_error_that_a_worker_survives(tmp_path: Path) -> None:
    """Their hash is the one of the card: the version was made so."""
    for name in ("lung_nodule_ct", NAME):
        brought = other_version(name, tmp_path / name, weights_sha256=hashlib.sha256(HEADER_TOO_LARGE).hexdigest())
        (brought / "weights.safetensors").write_bytes(HEADER_TOO_LARGE)
        with pytest.raises(ModelError, match="is not a safetensors file"):
            runtime.load_folder(brought, device="cpu", package=registry.folder(name).name)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (RuntimeError("negative dimension -8"), ModelError),
        (IndexError("list index out of range"), ModelError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (MemoryError(), OutOfMemory),
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), OutOfMemory),
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), torch.AcceleratorError),
        (OSError("libcudart.so.13: cannot open shared object file"), OSError),
    ],
)
def test_what_fails_while_a_model_is_loaded_has_a_kind(
    raised: Exception, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that cannot be run, memory that may be free later, or a device that says nothing of the model."""

    def fail(*_: object) -> None:
        raise raised

    monkeypatch.setattr("models.dermoscopy.model.DermoscopyClassifier", fail)
    with pytest.raises(expected) as caught:
        runtime.load(NAME, device="cpu")
    assert type(caught.value) is expected


def test_the_package_holds_no_pickle() -> None:
    bad = [path for path in registry.MODELS_FOLDER.rglob("*") if path.suffix in {".pt", ".pth", ".pkl", ".ckpt", ".bin"}]
    assert bad == []
