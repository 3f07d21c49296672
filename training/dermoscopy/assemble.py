"""The networks of several folds as one model: each learned other lesions, and together they err less than one."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from core.errors import ModelError
from models import registry
from models.card import ModelCard, read_card
from models.dermoscopy.ensemble import Panel
from training.dermoscopy import fit
from training.dermoscopy.data import load, read_index
from training.dermoscopy.finish import OF_SEVERAL, ROOM, ship
from training.dermoscopy.split import FOLDS, set_aside

TOGETHER = "ensemble"  # its folder beside the folds


def assemble(data: Path, out: Path, *, progress: Callable[[str], None] = print, limit_per_class: int | None = None) -> dict[str, Any]:
    """The folds that ``out`` holds, two at least, into ``out``/ensemble: weights, card, metrics, and the table of what none has learned.

    The temperature is fitted on the lesions that are set aside from all folds, and the figures are of them: hardly another lesion is
    new to every member. Strangers are known by the last member, with its limits.
    ``limit_per_class``: fewer pictures for the shares refused and what is expected of inputs (tests).

    Raises
    ------
    ModelError
        One fold or none is trained, or one by another recipe than the others.
    """
    folders = [folder for fold in range(FOLDS) if ((folder := out / f"fold{fold}") / "card.toml").is_file()]
    if len(folders) < 2:
        raise ModelError(f"{len(folders)} trained network(s) in {out}, two or more are needed", hint="models crossval trains them")
    cards = [read_card(folder / "card.toml") for folder in folders]
    recipe = recipe_of(cards[0])
    if any(recipe != recipe_of(card) for card in cards):
        raise ModelError(f"the folds in {out} are of several recipes", hint="train them anew, into an empty folder")
    names = [folder.name for folder in folders]
    members = {name: {**fit.STAGES["second"], "familiar": name == names[-1]} for name in names}
    panel = Panel({"members": members}, len(cards[0].labels))
    for name, folder in zip(names, folders, strict=True):
        take(panel, name, load_file(registry.verify_folder(folder)))
    rows = read_index(data)
    aside = set_aside(rows)
    images = load(data, out, rows, aside, report=progress)
    shas = {name: card.weights_sha256 for name, card in zip(names, cards, strict=True)}
    training = {"folds": [card.training["fold"] for card in cards], **recipe, "members": shas}
    before = read_card(ROOM / "card.toml")
    card = replace(
        before,
        limits=(*(line for line in before.limits if line != OF_SEVERAL), OF_SEVERAL),
        thresholds=cards[-1].thresholds,
        network={"answer": fit.NETWORK["answer"], "members": members},
        training=training,
    )
    target = out / TOGETHER
    target.mkdir(exist_ok=True)
    return ship(panel.eval(), card, images, data, target, progress, limit_per_class)


def recipe_of(card: ModelCard) -> dict[str, Any]:
    """How the network was trained, but for its fold. What a card of an earlier release says nothing of was as it is by default."""
    defaults = {field.name: field.default for field in fields(fit.Recipe) if field.default is not MISSING}
    told = {key: value for key, value in card.training.items() if key not in ("fold", "images")}
    return {key: {**defaults, **value} if isinstance(value, Mapping) else value for key, value in told.items()}


def take(panel: Panel, name: str, weights: dict[str, torch.Tensor]) -> None:
    """One fold's only network as the member ``name``; what it knows of strangers only where the member is to know them."""
    wanted = panel.net(name).state_dict().keys()
    only = {key.split(".", 2)[2]: value for key, value in weights.items()}
    panel.net(name).load_state_dict({key: value for key, value in only.items() if key in wanted})
