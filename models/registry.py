"""The shipped models: every folder of ``models/`` with a ``card.toml``. Never imports torch."""

import hashlib
import importlib.util
from pathlib import Path

from core.errors import ModelError
from models.card import ModelCard, read_card

# Raise it when pre- or post-processing changes in a way that may change results: it is part of every job's key.
PIPELINE_VERSION = "2"
MODELS_FOLDER = Path(__file__).parent


def model_folders(root: Path = MODELS_FOLDER) -> dict[str, Path]:
    """Folder of every model, by the model's name (which need not be the folder's)."""
    found: dict[str, Path] = {}
    for path in sorted(root.glob("*/card.toml")):
        name = read_card(path).name
        if name in found:
            raise ModelError(f"two cards have the name {name}: in {found[name].name} and {path.parent.name}", hint="remove one of them")
        found[name] = path.parent
    return found


def names(root: Path = MODELS_FOLDER) -> list[str]:
    """Names of all models, sorted."""
    return sorted(model_folders(root))


def folder(name: str, root: Path = MODELS_FOLDER) -> Path:
    """The model's folder. Raises ModelError with the known names where there is none."""
    found = model_folders(root)
    if name not in found:
        raise ModelError(f"no model {name!r}", hint=f"known: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def card(name: str, root: Path = MODELS_FOLDER) -> ModelCard:
    """The model's card, validated."""
    return read_card(folder(name, root) / "card.toml")


def verify_weights(name: str, root: Path = MODELS_FOLDER) -> Path:
    """The model's weights file, whose SHA-256 is the card's. Raises ModelError with both hashes where it is not."""
    return verify_weights_in(folder(name, root))


def verify_weights_in(model_folder: Path) -> Path:
    """As ``verify_weights``, for a folder that holds a card and its weights."""
    expected = read_card(model_folder / "card.toml")
    path = model_folder / expected.weights
    if not path.is_file():
        raise ModelError(f"{expected.name}: {path} is missing", hint="install the package again, or train the model")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.weights_sha256:
        raise ModelError(
            f"{expected.name}: {path.name} has sha256 {found}, its card expects {expected.weights_sha256}",
            hint="the weights were altered or belong to another card; do not use them",
        )
    return path


def check_weights(model_folder: Path) -> bool:
    """As ``verify_weights_in``, for a process that runs no model; False where the weights are not here.

    Where torch is not installed, a shipped model may lack them, as in the image of the roles without worker: the worker verifies its own
    before it loads them.
    """
    expected = read_card(model_folder / "card.toml")
    shipped = model_folder.parent == MODELS_FOLDER
    if shipped and not (model_folder / expected.weights).exists() and importlib.util.find_spec("torch") is None:
        return False
    verify_weights_in(model_folder)
    return True


def pipeline_digest(name: str, root: Path = MODELS_FOLDER) -> str:
    """SHA-256 (hex) over the weights' hash, the card's bytes and the version of pre- and post-processing."""
    return folder_digest(folder(name, root))


def folder_digest(model_folder: Path) -> str:
    """As ``pipeline_digest``, for a folder that holds a card."""
    text = (model_folder / "card.toml").read_bytes()
    digest = hashlib.sha256()
    for part in (read_card(model_folder / "card.toml").weights_sha256.encode(), text, PIPELINE_VERSION.encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
