"""Loads a model by its name. torch is imported when a model is loaded, not before."""

import gc
import importlib
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from core.errors import ConfigurationError, ModelError, OutOfMemory
from models import registry
from models.card import identity, read_card
from models.protocol import Model as Model

DEVICES = ("auto", "cpu", "cuda")
UNFIT_ERRORS = (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)
# torch's own allocators; the driver; cuDNN and cuBLAS, which allocate for themselves.
OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
DEVICE_ERRORS = ("CUDA", "cuDNN", "CUDNN", "CUBLAS", "NVIDIA")
MAX_SAID = 300  # characters of an error of torch, which may list every layer
UNFIT = "use the release that the version was made with, or activate another version"


def load(name: str, *, device: str = "auto") -> Model:
    """Load the model ``name``; its weights are verified against the card before any of their bytes is parsed.

    ``device``: "cpu", "cuda" or "auto" (cuda where a CUDA device exists). Weights are safetensors: loading them executes nothing.

    Raises
    ------
    ModelError
        Unknown model, altered weights (the message has both hashes), a card or weights that the model's code cannot run, or a device
        that does not exist.
    OutOfMemory
        It does not fit into the memory that is free now.
    """
    folder = registry.folder(name)
    return load_folder(folder, device=device, package=folder.name)


def load_folder(folder: Path, *, device: str = "auto", package: str) -> Model:
    """As ``load``, for a card and weights in any folder, run by the code of ``models.<package>``.

    The package's ``MODEL`` names the class or function in ``models.<package>.model`` that is called with
    (card, identity, weights, device).
    """
    weights = registry.verify_weights(folder)
    card = read_card(folder / "card.toml")
    build = getattr(importlib.import_module(f"models.{package}.model"), importlib.import_module(f"models.{package}").MODEL)
    try:
        model: Model = build(card, identity(card, registry.folder_digest(folder)), weights, choose_device(device))
    except UNFIT_ERRORS as error:
        if is_out_of_memory(error):
            hint = "see worker.gpu_memory_share, and which other processes use the memory"
            raise OutOfMemory(f"{card.name} {card.version} does not fit into memory", hint=hint) from error
        if is_device_error(error):
            raise
        # Of an installed version: the card's tables of network and pre-processing are checked by nothing but the model's code.
        said = f"{type(error).__name__}: {error}"[:MAX_SAID]
        raise ModelError(f"{card.name} {card.version}: its card does not fit the code of this release ({said})", hint=UNFIT) from error
    if card.tilt == "resample":
        from models.ct.tilt_correction import TiltCorrectedModel

        return TiltCorrectedModel(model)
    return model


def choose_device(wanted: str) -> str:
    """ "cpu" or "cuda". Raises ModelError for an unknown device, or for cuda where there is none."""
    import torch

    if wanted not in DEVICES:
        raise ModelError(f"device is one of {', '.join(DEVICES)}, not {wanted!r}")
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError("device cuda was asked for and there is none", hint="set the device to auto or cpu")
    return "cuda" if wanted != "cpu" and available else "cpu"


def check_device(wanted: str) -> None:
    """Check that this machine has a GPU where ``wanted`` is "cuda".

    torch is not imported: the processes that use CUDA are forked from those that call this function. Whether CUDA works is found when the
    first model is loaded, and by `describe_devices`.

    Raises
    ------
    ConfigurationError
        There is none, or it is hidden, or the installed torch cannot use it.
    """
    if wanted != "cuda":
        return
    hint = "install the driver and the CUDA build of torch, or set worker.device to auto or cpu"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        raise ConfigurationError("worker.device is cuda, and CUDA_VISIBLE_DEVICES hides every GPU", hint=hint)
    if not _has_gpu_driver():
        raise ConfigurationError("worker.device is cuda, and this machine has no GPU (no /dev/nvidia*)", hint=hint)
    try:
        found = version("torch")
    except PackageNotFoundError:
        found = "(not installed)"
    if found.endswith(("+cpu", ")")):
        raise ConfigurationError(f"worker.device is cuda, and torch {found} cannot use it", hint=hint)


def _has_gpu_driver() -> bool:
    """Whether there are devices of the driver, or of WSL."""
    return any(Path("/dev").glob("nvidia*")) or Path("/dev/dxg").exists()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch says that memory could not be allocated, on the GPU or for the CPU. Other memory may be free later."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(text in str(error) for text in OUT_OF_MEMORY))


def is_device_error(error: BaseException) -> bool:
    """Whether an error comes from the GPU or its driver, and says nothing about a model or an input."""
    return any(text in str(error) for text in DEVICE_ERRORS)


def limit_gpu_memory(share: float) -> None:
    """Limit this process to ``share`` of its GPU's memory, before a model is loaded; no effect where there is no GPU."""
    import torch

    if share < 1 and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(share)


def release_memory() -> None:
    """Free what unloaded models held, also on the GPU, where torch keeps it. To be called when nothing refers to them any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def describe_devices() -> tuple[str, bool]:
    """The devices that models can run on, in words, and whether CUDA is among them. torch is imported only where there may be a GPU."""
    if not _has_gpu_driver():
        return f"no CUDA device, models run on the CPU (torch {version('torch')})", False
    import torch

    if not torch.cuda.is_available():
        return f"no CUDA device, models run on the CPU (torch {torch.__version__})", False
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{', '.join(names)} (torch {torch.__version__}, CUDA {torch.version.cuda})", True
