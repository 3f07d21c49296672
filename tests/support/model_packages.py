"""Creates another version of a shipped model, to be imported."""

import fnmatch
import hashlib
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import registry
from models.card import read_card
from models.card_writer import render_card


def other_version(name: str, folder: Path, version: str = "9.9.9", **changes: Any) -> Path:
    """Write card and weights of ``name`` to a folder under another version: the same weights, another digest.

    ``changes``: of the card.
    """
    room = registry.folder(name)
    card = replace(read_card(room / "card.toml"), version=version, **changes)
    folder.mkdir(parents=True)
    shutil.copyfile(room / card.weights, folder / card.weights)
    (folder / "card.toml").write_text(render_card(card), encoding="utf-8")
    return folder


def version_with_nan(name: str, folder: Path, pattern: str) -> Path:
    """As ``other_version``, with NaN in the last of the tensors that match ``pattern`` (fnmatch), and their hash in the card."""
    from safetensors.torch import load_file, save_file

    made = other_version(name, folder)
    card = read_card(made / "card.toml")
    tensors = load_file(made / card.weights)
    tensors[sorted(fnmatch.filter(tensors, pattern))[-1]].fill_(float("nan"))
    save_file(tensors, made / card.weights)
    digest = hashlib.sha256((made / card.weights).read_bytes()).hexdigest()
    (made / "card.toml").write_text(render_card(replace(card, weights_sha256=digest)), encoding="utf-8")
    return made
