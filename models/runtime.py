"""From a name to a model that can predict. torch is imported when a model is loaded, not before."""

import importlib
from pathlib import Path

from core.errors import ModelError
from models import registry
from models.card import identity, read_card
from models.protocol import Model as Model

DEVICES = ("auto", "cpu", "cuda")


def load(name: str, *, device: str = "auto", root: Path = registry.ROOMS) -> Model:
    """The model ``name``, its weights verified against its card before a byte of them is parsed.

    ``device``: "cpu", "cuda" or "auto" (cuda where there is one). Weights are safetensors: nothing in them is executed.
    The room's module ``models.<folder>.model`` has a class ``Model(card, identity, weights, device)``.

    Raises
    ------
    ModelError
        unknown model, altered weights (expected and found hash are named), or a device that is not there.
    """
    room = registry.folder(name, root)
    return load_folder(room, device=device, package=room.name)


def load_folder(room: Path, *, device: str = "auto", package: str) -> Model:
    """As ``load``, for a card and weights in any folder, run by the code of ``models.<package>``."""
    weights = registry.verify_folder(room)
    card = read_card(room / "card.toml")
    module = importlib.import_module(f"models.{package}.model")
    model: Model = module.Model(card, identity(card, registry.folder_digest(room)), weights, choose_device(device))
    if card.tilt == "resample":
        from models.tilt_correction import Uprighted

        return Uprighted(model)
    return model


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda". Raises ModelError for an unknown device, or cuda where there is none."""
    import torch

    if wanted not in DEVICES:
        raise ModelError(f"device is one of {', '.join(DEVICES)}, not {wanted!r}")
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError("device cuda was asked for and there is none", hint="set the device to auto or cpu")
    return "cuda" if wanted != "cpu" and available else "cpu"


def limit_gpu(share: float) -> None:
    """Let this process take no more than ``share`` of its card's memory; nothing where there is no card. Before a model is loaded."""
    import torch

    if share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def describe_devices() -> tuple[str, bool]:
    """What a model can run on, in words, and whether CUDA is among it."""
    import torch

    if not torch.cuda.is_available():
        return f"no CUDA device, models run on the CPU (torch {torch.__version__})", False
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (torch {torch.__version__}, CUDA {torch.version.cuda})", True
