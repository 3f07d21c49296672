"""Trains and measures ``dermoscopy_7class`` on HAM10000."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import registry
from models.card import identity, read_card
from models.dermoscopy.ensemble import Ensemble
from models.dermoscopy.model import DermoscopyClassifier
from models.torch_threads import cpu_threads
from training import plots
from training.dermoscopy.finish import DRAWN_OF_EACH_KIND, MODEL_FOLDER, finish_fold
from training.dermoscopy.fit.initial_weights import initial_weights
from training.dermoscopy.fit.loop import train_stage
from training.dermoscopy.fit.recipe import FIRST_SHARE, NETWORK, SEED, STAGES, first_stage, second_stage
from training.dermoscopy.ham10000.data import first_of_each, load_images, read_index
from training.dermoscopy.ham10000.split import held_out, set_aside, unseen
from training.dermoscopy.measure.card_metrics import card_metrics, halved_ece, how_measured, refused_shares
from training.dermoscopy.measure.held_out_table import make_table


def train(
    data: Path,
    out: Path,
    *,
    seed: int = SEED,
    fold: int = 0,
    epochs: int | None = None,
    init: Path | None = None,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml, metrics.json, held_out.npz and training.png to ``out``; return the metrics.

    Two stages, each with its checkpoint in a folder of ``out``; ``epochs`` shortens both. One CPU thread: the same seed gives the same
    weights on the same machine. The images are decoded once into ``cache`` (default: ``out``). On a core of an AMD EPYC of 2024 an epoch
    takes 25 s in the first stage and 35 s in the second.

    Parameters
    ----------
    fold
        Which of the five parts of the lesions is held out.
    init
        A local safetensors file to start from (see ``initial_weights``) instead of random weights.
    limit_per_class
        The first images of every class only (tests).
    """
    shortened = {} if epochs is None else {"epochs": epochs}
    recipes = {"first": first_stage(seed, **shortened), "second": second_stage(seed, **shortened)}
    until = {"first": max(1, round(recipes["first"].epochs * FIRST_SHARE)), "second": recipes["second"].epochs}
    for name in recipes:
        (out / name).mkdir(parents=True, exist_ok=True)
    classes = len(read_card(MODEL_FOLDER / "card.toml").labels)
    with cpu_threads(1):
        rows = read_index(data)
        rows = rows if limit_per_class is None else first_of_each(rows, limit_per_class)
        start: dict[str, torch.Tensor] = {}
        written: dict[str, Any] = {}
        origin = ""
        if init is not None:
            start, origin = initial_weights(init, STAGES["first"], classes)
            written["init"] = {"file": init.name, "sha256": origin, "tensors": len(start)}
            progress(f"starting from {len(start)} tensors of {init.name}")
        held = held_out(rows, fold)
        images = load_images(data, cache or out, rows, held, set_aside(rows) - held, report=progress)
        progress(f"{len(images.training)} images to train on, {int(images.validation.sum())} held out")
        ensemble, histories = Ensemble(NETWORK, classes), {}
        for name, recipe in recipes.items():
            progress(f"stage {name}")
            trained = train_stage(
                images,
                out / name,
                recipe,
                {**STAGES[name], "familiar": False},
                start=start,
                until=until[name],
                origin=origin,
                resume=resume,
                progress=progress,
            )
            start, histories[name] = dict(trained.net.state_dict()), trained.history
            written[name] = {**asdict(recipe), "epochs_run": until[name]}
            if name in ensemble.members:
                ensemble.member(name).load_state_dict(start, strict=False)
        plots.draw_training_curves(histories, out / "training.png")
        return finish_fold(ensemble.eval(), images, data, out, fold, written, progress, limit_per_class)


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure the shipped weights on the images that the card says were held out from their training."""
    weights = registry.verify_weights(MODEL_FOLDER)
    card = read_card(MODEL_FOLDER / "card.toml")
    model = DermoscopyClassifier(card, identity(card, registry.folder_digest(MODEL_FOLDER)), weights, "cpu")
    rows = read_index(data)
    lesions = unseen(rows, card.training)
    with tempfile.TemporaryDirectory() as cache:
        images = load_images(data, Path(cache), [row for row in rows if row.lesion_id in lesions], lesions, report=progress)
        progress(f"{len(images.labels)} held-out images through {weights.name}")
        output = model.run_networks(images.pixels[:, 0], images.patients)
        table = make_table(model, output, images, np.arange(len(images.labels)))
    found = card_metrics(card, table, rows, how_measured(card.training))
    refused = refused_shares(model, table, DRAWN_OF_EACH_KIND)
    return {**found, "ece_cross_fitted": halved_ece(table, rows), "refused": refused}
