"""Train and measure ``dermoscopy_7class`` on HAM10000."""

import hashlib
import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models import registry
from models.calibrate import fit_temperature
from models.card import identity, read_card
from models.card_writer import render_card
from models.dermoscopy import fit
from models.dermoscopy.data import LesionImages, first_of_each, load, read_index, validation_lesions
from models.dermoscopy.figures import figures, refusals
from models.dermoscopy.model import Model
from models.dermoscopy.panel import Panel, to_tensor
from models.threads import cpu_threads

ROOM = Path(__file__).parent
STRANGERS_OF_EACH = 100
REFUSED_OF_TRAINING = 0.015  # this share of the training images lies beyond the limit of distance


def train(
    data: Path,
    out: Path,
    *,
    seed: int = fit.SEED,
    epochs: int | None = None,
    resume: bool = True,
    progress: Callable[[str], None] = print,
    limit_per_class: int | None = None,
) -> dict[str, Any]:
    """Write weights.safetensors, card.toml and metrics.json to ``out``; return the metrics.

    Two stages, each with its checkpoint in a folder of ``out``; ``epochs`` shortens both. One CPU thread: the same seed
    gives the same weights on the same machine. The images are decoded once into ``out``. On a core of an AMD EPYC of 2024 an
    epoch takes 23 s in the first stage and 40 s in the second, 55 minutes for all.
    ``limit_per_class`` trains on the first images of every class only (tests).
    """
    recipes = {"first": fit.first(seed), "second": fit.second(seed)}
    if epochs is not None:
        recipes = {"first": fit.first(seed, epochs), "second": fit.second(seed, epochs)}
    for name in recipes:
        (out / name).mkdir(parents=True, exist_ok=True)
    with cpu_threads(1):
        rows = read_index(data)
        rows = rows if limit_per_class is None else first_of_each(rows, limit_per_class)
        images = load(data, out, rows, validation_lesions(rows, seed), report=progress)
        progress(f"{int((~images.validation).sum())} images to train on, {int(images.validation.sum())} held out")
        start: dict[str, torch.Tensor] = {}
        panel = Panel(fit.NETWORK, len(read_card(ROOM / "card.toml").labels))
        for name, recipe in recipes.items():
            progress(f"stage {name}")
            table = {**fit.STAGES[name], "familiar": False}
            net = fit.fit(images, out / name, recipe, table, start=start, resume=resume, progress=progress)
            start = dict(net.state_dict())
            if name in panel.members:
                panel.nets()[name].load_state_dict(start, strict=False)
        written = {name: asdict(recipe) for name, recipe in recipes.items()}
        return finish(panel.eval(), images, out, written, progress, strangers=limit_per_class or STRANGERS_OF_EACH)


def finish(
    panel: Panel,
    images: LesionImages,
    out: Path,
    recipes: dict[str, dict[str, Any]],
    progress: Callable[[str], None],
    *,
    strangers: int,
) -> dict[str, Any]:
    """Learn what is familiar, calibrate, measure, and write the three files."""
    before = read_card(ROOM / "card.toml")
    limit = learn_familiar(panel, images)
    path = out / before.weights
    save_file({key: value.contiguous() for key, value in panel.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    training = {
        "seed": int(recipes["first"]["seed"]),
        "images": int((~images.validation).sum()),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, one thread, bfloat16 autocast",
        **recipes,
    }
    card = replace(
        before,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        thresholds={**before.thresholds, "max_distance": round(limit, 3)},
        network=fit.NETWORK,
        training=training,
    )
    held = np.flatnonzero(images.validation)
    model = Model(card, identity(card, "0" * 64), path, "cpu")
    looked = model.look(images.pixels[held, 0], images.patients[held])
    card = replace(card, temperature=fit_temperature(looked.logits, images.labels[held]))
    model.card = card
    metrics = {**figures(model, looked, images, held), "refused": refusals(model, looked, strangers)}
    card = replace(card, metrics=metrics)
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    summary = ", ".join(f"{key} {metrics[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n"))
    progress(f"on held-out images: {summary}")
    return metrics


@torch.inference_mode()
def learn_familiar(panel: Panel, images: LesionImages) -> float:
    """Fit the last member's ``familiarity`` to the training images, every other one recompressed; return the limit of distance."""
    net, side = panel.last, list(panel.sides.values())[-1]
    assert net.familiarity is not None
    chosen = np.flatnonzero(~images.validation)
    described = []
    for start in range(0, len(chosen), 64):
        part = chosen[start : start + 64]
        described.append(net.familiarity.describe(net.maps(to_tensor(images.pixels[part, part % 2], side))))
    features = torch.cat(described)
    net.familiarity.fit(features)
    distances = net.familiarity.far(features)
    return float(np.quantile(distances.numpy(), 1 - REFUSED_OF_TRAINING))


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights on the images held out from their training (split by the seed in the card)."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    model = Model(card, identity(card, registry.folder_digest(ROOM)), weights, "cpu")
    rows = read_index(data)
    lesions = validation_lesions(rows, int(card.training["seed"]))
    with tempfile.TemporaryDirectory() as cache:
        images = load(data, Path(cache), [row for row in rows if row.lesion_id in lesions], lesions, report=progress)
        progress(f"{len(images.labels)} held-out images through {weights.name}")
        looked = model.look(images.pixels[:, 0], images.patients)
        return {**figures(model, looked, images, np.arange(len(images.labels))), "refused": refusals(model, looked, STRANGERS_OF_EACH)}
