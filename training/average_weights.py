"""``python -m training.average_weights --weights FILE --weights FILE --out FILE``: the mean of the weights of several trainings.

The trainings must have begun from the same weights: then the mean often generalises better than each of them (Wortsman et al. 2022, "Model
soups", arXiv:2203.05482). The mean is computed in float64; integers, such as counts of batches, are those of the last file.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from core.errors import NotAnalysable


def average_weights(files: Sequence[Path], out: Path) -> None:
    """Write the mean of the tensors of ``files`` to ``out``.

    Raises
    ------
    NotAnalysable
        The files do not hold the same tensors.
    """
    loaded = [load_file(path) for path in files]
    last = loaded[-1]
    for path, tensors in zip(files, loaded, strict=True):
        if {name: one.shape for name, one in tensors.items()} != {name: one.shape for name, one in last.items()}:
            raise NotAnalysable(f"{path} does not hold the same tensors as {files[-1]}", hint="average weights of one network only")
    means = {
        name: torch.stack([tensors[name].double() for tensors in loaded]).mean(dim=0).to(one.dtype) if one.is_floating_point() else one
        for name, one in last.items()
    }
    save_file(means, out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, action="append", required=True, help="of one training; give it several times")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    average_weights(given.weights, given.out)
