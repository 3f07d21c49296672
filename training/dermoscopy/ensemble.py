"""Makes one model of the networks of several folds: each was trained on other lesions, and their mean errs less often than one of them."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from core.counted import counted
from core.errors import ModelError
from models import registry
from models.card import ModelCard, read_card
from models.dermoscopy.ensemble import Ensemble
from training.dermoscopy.finish import ENSEMBLE_LIMIT, MODEL_FOLDER, write_release
from training.dermoscopy.fit.recipe import NETWORK, STAGES, StageRecipe
from training.dermoscopy.ham10000.data import load_images, read_index
from training.dermoscopy.ham10000.split import FOLDS, set_aside

ENSEMBLE = "ensemble"  # the ensemble's folder beside the folds


def make_ensemble(data: Path, out: Path, *, progress: Callable[[str], None] = print, limit_per_class: int | None = None) -> dict[str, Any]:
    """Join the folds in ``out``, at least two, into ``out``/ensemble: weights, card, metrics, and the table of held-out images.

    Temperature and metrics are of the lesions that are set aside from all folds, because almost every other lesion was in the training
    of some member. The last member measures the distance from the training images, with its limits.
    ``limit_per_class``: fewer pictures for the refused shares and the reference counts (tests).

    Raises
    ------
    ModelError
        Fewer than two folds are trained, or by different recipes.
    """
    folders = [folder for fold in range(FOLDS) if ((folder := out / f"fold{fold}") / "card.toml").is_file()]
    if len(folders) < 2:
        raise ModelError(f"{counted(len(folders), 'trained network')} in {out}, two or more are needed", hint="models crossval trains them")
    cards = [read_card(folder / "card.toml") for folder in folders]
    recipe = recipe_of(cards[0])
    if any(recipe != recipe_of(card) for card in cards):
        raise ModelError(f"the folds in {out} are of several recipes", hint="train them again, into an empty folder")
    names = [folder.name for folder in folders]
    members = {name: {**STAGES["second"], "familiar": name == names[-1]} for name in names}
    ensemble = Ensemble({"members": members}, len(cards[0].labels))
    for name, folder in zip(names, folders, strict=True):
        load_member(ensemble, name, load_file(registry.verify_weights(folder)))
    rows = read_index(data)
    images = load_images(data, out, rows, set_aside(rows), report=progress)
    hashes = {name: card.weights_sha256 for name, card in zip(names, cards, strict=True)}
    training = {"folds": [card.training["fold"] for card in cards], **recipe, "members": hashes}
    before = read_card(MODEL_FOLDER / "card.toml")
    card = replace(
        before,
        limits=(*(line for line in before.limits if line != ENSEMBLE_LIMIT), ENSEMBLE_LIMIT),
        thresholds=cards[-1].thresholds,
        network={"answer": NETWORK["answer"], "members": members},
        training=training,
    )
    target = out / ENSEMBLE
    target.mkdir(exist_ok=True)
    return write_release(ensemble.eval(), card, images, data, target, progress, limit_per_class)


def recipe_of(card: ModelCard) -> dict[str, Any]:
    """The card's table ``training`` without its fold. Fields that a card of an earlier release lacks get their default."""
    defaults = {field.name: field.default for field in fields(StageRecipe) if field.default is not MISSING}
    stated = {key: value for key, value in card.training.items() if key not in ("fold", "images")}
    return {key: {**defaults, **value} if isinstance(value, Mapping) else value for key, value in stated.items()}


def load_member(ensemble: Ensemble, name: str, weights: dict[str, torch.Tensor]) -> None:
    """Load the only network of one fold as the member ``name``; its distance statistics only where the member measures the distance."""
    wanted = ensemble.member(name).state_dict().keys()
    only = {key.split(".", 2)[2]: value for key, value in weights.items()}
    ensemble.member(name).load_state_dict({key: value for key, value in only.items() if key in wanted})
