"""Reads a bundle's weights and writes them as safetensors.

``torch.load`` is called here and nowhere else, because bundles contain ``model.pt``. It reads tensors only (``weights_only``), in the
process of the person who imports; the node loads safetensors.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file

from core.errors import ModelError
from models.weights import read_tensors


def save_weights(folder: Path, network: torch.nn.Module, out: Path) -> None:
    """Write the weights in ``folder`` as safetensors. Raises ModelError where they do not fit ``network``, or are no numbers."""
    tensors = read_weights(folder)
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelError("the weights do not fit the network of the bundle", hint=str(error).splitlines()[-1].strip()[:200]) from error
    # As the network holds them: a number of float64 may be beyond the range of float32.
    if damaged := [key for key, value in network.state_dict().items() if not bool(torch.isfinite(value).all())]:
        raise ModelError(f"the weights hold values that are no numbers, in {damaged[0]}", hint="the file is damaged, or training failed")
    save_file({key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}, out)
    out.chmod(0o644)


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors by name from model.safetensors or model.pt. Raises ModelError where there are none, or more than tensors."""
    if (folder / "model.safetensors").is_file():
        return read_tensors(folder / "model.safetensors")
    path = folder / "model.pt"
    if not path.is_file():
        raise ModelError(f"no {path}", hint="the bundle's weights are needed: models/model.pt or models/model.safetensors")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles fail in many ways; weights_only executes none of them
        raise ModelError("models/model.pt holds more than tensors, and is not loaded", hint=f"({type(error).__name__})") from error
    for key in ("model", "state_dict"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise ModelError("models/model.pt holds no table of tensors")
    return {str(key): value for key, value in found.items()}
