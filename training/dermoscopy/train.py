"""Train and measure ``dermoscopy_7class`` on HAM10000."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import registry
from models.card import identity, read_card
from models.dermoscopy.ensemble import Panel
from models.dermoscopy.model import Model
from models.torch_threads import cpu_threads
from training import plots
from training.dermoscopy import fit
from training.dermoscopy.data import first_of_each, load, read_index
from training.dermoscopy.figures import figures, halved_ece, measured, refusals
from training.dermoscopy.finish import ROOM, STRANGERS_OF_EACH, finish
from training.dermoscopy.held_out_rows import hold
from training.dermoscopy.initial_weights import initial
from training.dermoscopy.split import held_out, set_aside, unseen


def train(
    data: Path,
    out: Path,
    *,
    seed: int = fit.SEED,
    fold: int = 0,
    epochs: int | None = None,
    init: Path | None = None,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml, metrics.json, held_out.npz and training.png to ``out``; return the metrics.

    Two stages, each with its checkpoint in a folder of ``out``; ``epochs`` shortens both. One CPU thread: the same seed
    gives the same weights on the same machine. The images are decoded once into ``cache`` (without it ``out``). On a core of an AMD
    EPYC of 2024 an epoch takes 25 s in the first stage and 35 s in the second.

    Parameters
    ----------
    fold
        Which of the five parts of the lesions is held out.
    init
        A local safetensors file to begin with (``initial``) instead of random weights.
    limit_per_class
        The first images of every class only (tests).
    """
    shortened = {} if epochs is None else {"epochs": epochs}
    recipes = {"first": fit.first(seed, **shortened), "second": fit.second(seed, **shortened)}
    until = {"first": max(1, round(recipes["first"].epochs * fit.FIRST_SHARE)), "second": recipes["second"].epochs}
    for name in recipes:
        (out / name).mkdir(parents=True, exist_ok=True)
    classes = len(read_card(ROOM / "card.toml").labels)
    with cpu_threads(1):
        rows = read_index(data)
        rows = rows if limit_per_class is None else first_of_each(rows, limit_per_class)
        start: dict[str, torch.Tensor] = {}
        written: dict[str, Any] = {}
        origin = ""
        if init is not None:
            start, origin = initial(init, fit.STAGES["first"], classes)
            written["init"] = {"file": init.name, "sha256": origin, "tensors": len(start)}
            progress(f"{len(start)} tensors of {init.name} to begin with")
        held = held_out(rows, fold)
        images = load(data, cache or out, rows, held, set_aside(rows) - held, report=progress)
        progress(f"{len(images.learned)} images to train on, {int(images.validation.sum())} held out")
        panel, curves = Panel(fit.NETWORK, classes), {}
        for name, recipe in recipes.items():
            progress(f"stage {name}")
            table = {**fit.STAGES[name], "familiar": False}
            came = fit.fit(
                images,
                out / name,
                recipe,
                table,
                start=start,
                until=until[name],
                origin=origin,
                resume=resume,
                progress=progress,
            )
            start, curves[name] = dict(came.net.state_dict()), came.history
            written[name] = {**asdict(recipe), "epochs_run": until[name]}
            if name in panel.members:
                panel.net(name).load_state_dict(start, strict=False)
        plots.curves(curves, out / "training.png")
        return finish(panel.eval(), images, data, out, fold, written, progress, limit_per_class)


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights on the images held out from their training, as the card says which."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    model = Model(card, identity(card, registry.folder_digest(ROOM)), weights, "cpu")
    rows = read_index(data)
    lesions = unseen(rows, card.training)
    with tempfile.TemporaryDirectory() as cache:
        images = load(data, Path(cache), [row for row in rows if row.lesion_id in lesions], lesions, report=progress)
        progress(f"{len(images.labels)} held-out images through {weights.name}")
        every = np.arange(len(images.labels))
        held = hold(model, model.look(images.pixels[:, 0], images.patients), images, every)
    found = figures(card, held, rows, measured(card.training))
    return {**found, "ece_cross_fitted": halved_ece(held, rows), "refused": refusals(model, held, STRANGERS_OF_EACH)}
