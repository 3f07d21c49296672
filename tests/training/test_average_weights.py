"""The mean of the weights of several trainings."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core.errors import NotAnalysable
from training.average_weights import average_weights


def _file(path: Path, **tensors: torch.Tensor) -> Path:
    save_file(tensors, path)
    return path


def test_tensors_are_averaged_and_counts_are_of_the_last(tmp_path: Path) -> None:
    files = [
        _file(tmp_path / f"{n}", layer=torch.tensor([1.0, 10.0 * n]), half=torch.tensor([n], dtype=torch.bfloat16), batches=torch.tensor(n))
        for n in (1, 2, 6)
    ]
    average_weights(files, tmp_path / "mean")
    mean = load_file(tmp_path / "mean")
    assert torch.equal(mean["layer"], torch.tensor([1.0, 30.0]))
    assert torch.equal(mean["half"], torch.tensor([3.0], dtype=torch.bfloat16))
    assert torch.equal(mean["batches"], torch.tensor(6))


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    one = _file(tmp_path / "one", layer=torch.zeros(2))
    for other in (_file(tmp_path / "name", other=torch.zeros(2)), _file(tmp_path / "shape", layer=torch.zeros(3))):
        with pytest.raises(NotAnalysable, match="does not hold the same tensors"):
            average_weights([one, other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
