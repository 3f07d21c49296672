"""Creates another version of a shipped model, to be imported."""

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
