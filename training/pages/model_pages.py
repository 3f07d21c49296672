"""Writes the generated pages of the models into docs/models: NAME.md and NAME-figures.md. NAME-training.md is written by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models import registry
from models.card import ModelCard
from training.pages.card_page import card_page
from training.pages.figures_page import MEMBERS, figures_page
from training.targets import read_targets

PAGES = registry.MODELS_FOLDER.parent / "docs" / "models"
FIGURES = "figures.json"
FOLDS = "crossval.json"


def render_pages(name: str, pages: Path = PAGES) -> dict[str, str]:
    """File name -> text of the model's generated pages. Figures and plots of other weights than the card's are left out."""
    card, package = registry.card(name), registry.folder(name).name
    measured = measured_figures(pages / name, card.weights_sha256)
    folds = cross_validation(pages / name, card)
    pictures = sorted(f"{name}/{path.name}" for path in (pages / name).glob("*.png")) if measured is not None else []
    training = f"{name}-training.md"
    beside = [f"{name}-figures.md", *([training] if (pages / training).is_file() else [])]
    return {
        f"{name}.md": card_page(card, package, measured, pictures, beside),
        f"{name}-figures.md": figures_page(card, package, measured, folds, read_targets(Path(__file__).parents[1] / package)),
    }


def measured_figures(folder: Path, weights_sha256: str) -> Mapping[str, Any] | None:
    """What ``models evaluate --out`` left in ``folder``; None where there is nothing, or figures of other weights."""
    path = folder / FIGURES
    if not path.is_file():
        return None
    figures: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures if figures.get("weights_sha256") == weights_sha256 else None


def cross_validation(folder: Path, card: ModelCard) -> Mapping[str, Any] | None:
    """What ``models crossval`` left in ``folder``; None where there is nothing, or the card's weights are made of none of its folds."""
    path = folder / FOLDS
    if not path.is_file():
        return None
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    hashes = {card.weights_sha256, *card.training.get(MEMBERS, {}).values()}
    return found if hashes & set(found.get("weights_sha256", {}).values()) else None


def write_pages(pages: Path = PAGES) -> list[Path]:
    """Write every generated page; return the paths of those that changed."""
    pages.mkdir(parents=True, exist_ok=True)
    changed = []
    for name in registry.names():
        for file, text in render_pages(name, pages).items():
            path = pages / file
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
                changed.append(path)
    return changed
