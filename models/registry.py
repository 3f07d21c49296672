"""The shipped models: folders of ``models/`` with card and weights. Never imports torch.

To add a model of this repository:

1. Write a folder beside this module with ``card.toml``, the weights and ``model.py``. The class or function that ``MODEL`` in its
   ``__init__.py`` names is called with (card, identity, weights, device) and returns a `models.protocol.Model`.
2. Add the folder to `SHIPPED`, and the package to the contracts of import-linter in ``pyproject.toml``.
3. Write its training, if it is trained here, in the folder of the same name in ``training``: a module ``train`` as the other models have.
4. ``dicom-node models docs`` writes its pages into ``docs/models``; name them in ``docs/README.md``, and the licence of its weights in
   ``README.md``.
5. Test it in the folder of the same name in ``tests/models``.
"""

import hashlib
import importlib.util
from functools import lru_cache
from pathlib import Path

from core.errors import ModelError
from models.card import ModelCard, read_card

# Raise it when pre- or post-processing changes in a way that may change results: it is part of every job's key.
PIPELINE_VERSION = "2"
MODELS_FOLDER = Path(__file__).parent
RESTORE_SHIPPED = "install the package again"
RESTORE = f"of a shipped model, {RESTORE_SHIPPED}; of an imported one, remove its folder and import it again"
# Name of each model by its folder: no card is read to find a model, so that a damaged one concerns its own model alone.
SHIPPED = {"dermoscopy": "dermoscopy_7class", "lung_histology_ct": "lung_histology_ct", "lung_nodule_ct": "lung_nodule_ct"}


def model_folders() -> dict[str, Path]:
    """Folder of every model, by the model's name (which need not be the folder's)."""
    return {name: MODELS_FOLDER / place for place, name in SHIPPED.items() if (MODELS_FOLDER / place).is_dir()}


def names() -> list[str]:
    """Names of all models, sorted."""
    return sorted(model_folders())


def folder(name: str) -> Path:
    """The model's folder. Raises ModelError with the known names where there is none."""
    found = model_folders()
    if name not in found:
        raise ModelError(f"no model {name!r}", hint=f"known: {', '.join(sorted(found)) or 'none'}")
    return found[name]


def card(name: str) -> ModelCard:
    """The model's card, validated. Raises ModelError that names the file, the fault and what to do."""
    path = folder(name) / "card.toml"
    try:
        found = read_card(path)
    except ModelError as error:
        raise ModelError(str(error.args[0]), hint=RESTORE_SHIPPED) from error
    if found.name != name:
        raise ModelError(f"{path} is the card of {found.name}", hint=RESTORE_SHIPPED)
    return found


def verify_weights(model_folder: Path, *, keep: bool = False) -> Path:
    """The weights file beside a card, whose SHA-256 is the card's. Raises ModelError with both hashes where it is not.

    ``keep``: as ``weights_problem``; not before the weights are loaded.
    """
    expected = read_card(model_folder / "card.toml")
    path = model_folder / expected.weights
    if not path.is_file():
        raise ModelError(f"{expected.name} {expected.version}: {path} is missing", hint=RESTORE)
    try:
        stat = path.stat()
        found = (_kept_sha256 if keep else _sha256)(path, (stat.st_size, stat.st_mtime_ns, stat.st_ino))
    except OSError as error:
        raise ModelError(f"{expected.name}: {path} cannot be read: {error.strerror}", hint=RESTORE) from error
    if found != expected.weights_sha256:
        raise ModelError(
            f"{expected.name} {expected.version}: {path} has sha256 {found}, its card expects {expected.weights_sha256}",
            hint=f"the weights were altered or belong to another card, and are not used: {RESTORE}",
        )
    return path


def _sha256(path: Path, _state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_kept_sha256 = lru_cache(maxsize=64)(_sha256)


def check_weights(model_folder: Path, *, keep: bool = False) -> bool:
    """As ``verify_weights``, for a process that runs no model; False where the weights are not here.

    Where torch is not installed, a shipped model may lack them, as in the image of the roles without worker: the worker verifies its own
    before it loads them. ``keep``: as ``weights_problem``.
    """
    expected = read_card(model_folder / "card.toml")
    shipped = model_folder.parent == MODELS_FOLDER
    if shipped and not (model_folder / expected.weights).exists() and importlib.util.find_spec("torch") is None:
        return False
    verify_weights(model_folder, keep=keep)
    return True


def weights_problem(model_folder: Path, *, keep: bool = False) -> str:
    """What is wrong with the weights in a model's folder, as ``check_weights`` finds it; "" where nothing is.

    ``keep``: weights are not read again while size and time of their file are the same.
    """
    try:
        check_weights(model_folder, keep=keep)
    except ModelError as error:
        return str(error)
    return ""


def model_problem(name: str) -> str:
    """What is wrong with the card or the weights of a shipped model, and what to do; "" where nothing is."""
    try:
        card(name)
    except ModelError as error:
        return str(error)
    return weights_problem(folder(name))


def pipeline_digest(name: str) -> str:
    """SHA-256 (hex) over the weights' hash, the card's bytes and the version of pre- and post-processing."""
    return folder_digest(folder(name))


def folder_digest(model_folder: Path) -> str:
    """As ``pipeline_digest``, for a folder that holds a card."""
    expected = read_card(model_folder / "card.toml").weights_sha256
    digest = hashlib.sha256()
    for part in (expected.encode(), (model_folder / "card.toml").read_bytes(), PIPELINE_VERSION.encode()):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()
