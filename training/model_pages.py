"""Where the generated pages of the models lie, and whether they say what the cards say."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import registry
from training.card_page import document
from training.targets import read_targets

PAGES = registry.ROOMS.parent / "docs" / "models"
FIGURES = "figures.json"
FOLDS = "crossval.json"


def render(name: str, pages: Path = PAGES) -> str:
    """The text of ``pages``/NAME.md. Figures and pictures of other weights than the card's are left out."""
    card = registry.card(name)
    measured = figures_of(pages / name, card.weights_sha256)
    pictures = sorted(f"{name}/{path.name}" for path in (pages / name).glob("*.png")) if measured is not None else []
    package, folds = registry.folder(name).name, folds_of(pages / name, card.weights_sha256)
    return document(card, package, measured, pictures, folds, read_targets(Path(__file__).parent / package))


def figures_of(folder: Path, weights_sha256: str) -> Mapping[str, Any] | None:
    """What ``models evaluate --out`` left in ``folder``; None where nothing, or where it is of other weights."""
    path = folder / FIGURES
    if not path.is_file():
        return None
    figures: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures if figures.get("weights_sha256") == weights_sha256 else None


def folds_of(folder: Path, weights_sha256: str) -> Mapping[str, Any] | None:
    """What ``models crossval`` left in ``folder``; None where nothing, or where none of its folds is these weights."""
    path = folder / FOLDS
    if not path.is_file():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if weights_sha256 in found.get("weights_sha256", {}).values() else None


def write(pages: Path = PAGES) -> list[Path]:
    """Write every page anew; those that changed."""
    pages.mkdir(parents=True, exist_ok=True)
    changed = []
    for name in registry.names():
        path, text = pages / f"{name}.md", render(name, pages)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
