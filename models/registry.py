"""Which models there are: every folder here with a ``card.toml``. Never imports torch."""

import hashlib
from pathlib import Path

from core.errors import ModelError
from models.card import ModelCard, read_card

# Raised when pre- or post-processing changes in a way that may change results: it is part of every job's key.
PIPELINE_VERSION = "1"
ROOMS = Path(__file__).parent


def rooms(root: Path = ROOMS) -> dict[str, Path]:
    """Folder of every model, by the model's name (which need not be the folder's)."""
    found: dict[str, Path] = {}
    for path in sorted(root.glob("*/card.toml")):
        name = read_card(path).name
        if name in found:
            raise ModelError(f"two cards are named {name}: in {found[name].name} and {path.parent.name}")
        found[name] = path.parent
    return found


def names(root: Path = ROOMS) -> list[str]:
    """Names of all models, sorted."""
    return sorted(rooms(root))


def folder(name: str, root: Path = ROOMS) -> Path:
    """The model's folder. Raises ModelError, naming the known ones, where there is none."""
    found = rooms(root)
    if name not in found:
        raise ModelError(f"no model {name!r}", hint=f"known: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def card(name: str, root: Path = ROOMS) -> ModelCard:
    """The model's card, validated."""
    return read_card(folder(name, root) / "card.toml")


def verify(name: str, root: Path = ROOMS) -> Path:
    """The model's weights file, after its sha256 was found to be the card's. Raises ModelError naming both hashes."""
    return verify_folder(folder(name, root))


def verify_folder(room: Path) -> Path:
    """As ``verify``, for a folder that holds a card and its weights."""
    expected = read_card(room / "card.toml")
    path = room / expected.weights
    if not path.is_file():
        raise ModelError(f"{expected.name}: {path} is missing", hint="install the package whole, or train the model")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.weights_sha256:
        raise ModelError(
            f"{expected.name}: {path.name} has sha256 {found}, its card expects {expected.weights_sha256}",
            hint="the weights were altered or belong to another card; do not use them",
        )
    return path


def pipeline_digest(name: str, root: Path = ROOMS) -> str:
    """sha256 (hex) over the weights' hash, the card's bytes and the version of pre- and post-processing."""
    room = folder(name, root)
    return folder_digest(room)


def folder_digest(room: Path) -> str:
    """As ``pipeline_digest``, for a folder that holds a card."""
    text = (room / "card.toml").read_bytes()
    digest = hashlib.sha256()
    for part in (read_card(room / "card.toml").weights_sha256.encode(), text, PIPELINE_VERSION.encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
