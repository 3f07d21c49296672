"""Initial weights from a local file (transfer learning): tensors whose name and shape fit the network are used."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.errors import ModelError
from models.dermoscopy.network import build


def initial_weights(path: Path, network: Mapping[str, Any], classes: int) -> tuple[dict[str, torch.Tensor], str]:
    """The tensors of ``path`` (safetensors) that the network of the table ``network`` has, too, and the file's sha256.

    A network nested in the file's names is found, the first by name where there are several: the shipped weights of this project, or a
    bare MONAI ResNet of the same widths. A layer of another shape, such as a head for other classes, starts from random weights.

    Raises
    ------
    ModelError
        The file does not exist, is not safetensors, or none of its tensors fits.
    """
    try:
        given = load_file(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read as safetensors: {error}", hint="--init takes a local .safetensors file") from error
    wanted = build(network, classes).state_dict()
    found: dict[str, torch.Tensor] = {}
    for name, tensor in wanted.items():
        short = name.removeprefix("trunk.")
        fitting = sorted(key for key in given if key in (name, short) or key.endswith("." + name))
        if fitting and given[fitting[0]].shape == tensor.shape:
            found[name] = given[fitting[0]]
    if not any(tensor.ndim > 1 for tensor in found.values()):
        example = next(iter(wanted))
        raise ModelError(f"{path.name}: none of its {len(given)} tensors fits the network, which has {example} and {len(wanted) - 1} more")
    return found, digest
