"""Train and measure ``lung_histology_ct`` on the four-class screenshots."""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models import registry
from models.card import identity, read_card
from models.card_writer import render_card
from models.lung_histology_ct.model import Model
from models.lung_histology_ct.network import Members, SliceNet
from models.lung_histology_ct.probabilities import calibrate, probabilities
from models.torch_threads import cpu_threads
from training import plots
from training.lung_histology_ct import card_text, fit
from training.lung_histology_ct.data import CLASSES, FOLDS, Slices, load
from training.lung_histology_ct.figures import by_fold, figures, shares

ROOM = Path(__file__).parents[2] / "models" / "lung_histology_ct"
STRANGERS_OF_EACH = 200
REFUSED = 0.03  # this share of the held-out slices lies beyond the limit of distance
OWN_SPLIT = "valid"  # the folder of the data set's own split, which shares patients with its other folder


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
    """Write weights.safetensors, card.toml, metrics.json and training.png to ``out``; return the metrics.

    One network for every fold, each with its checkpoint in a folder of ``out``, and one more for the data set's own split, which
    is measured and thrown away. One CPU thread: the same seed gives the same weights on the same machine. A few minutes on a core.
    ``limit_per_class`` trains on so many images of every class only (tests).
    """
    recipe = fit.recipe(seed) if epochs is None else fit.recipe(seed, epochs)
    out.mkdir(parents=True, exist_ok=True)
    before = read_card(ROOM / "card.toml")
    with cpu_threads(1):
        slices = load(data, before.thresholds, report=progress, limit_per_class=limit_per_class)
        progress(f"{len(slices.labels)} slices in {len(np.unique(slices.clusters))} clusters, {len(slices.refused)} cannot be judged")
        members, curves = Members(fit.NETWORK), {}
        for fold in range(FOLDS):
            net, curves[f"fold {fold + 1}"] = fit.fit(slices, fold, out / f"fold-{fold + 1}", recipe, resume=resume, progress=progress)
            learn_familiar(net, slices.planes[slices.folds != fold])
            members.nets[fold] = net
        plots.curves(curves, out / "training.png")
        own = own_split(slices, out / "own-split", recipe, resume=resume, progress=progress)
        strangers = STRANGERS_OF_EACH if limit_per_class is None else 1
        return finish(members.eval(), slices, out, asdict(recipe), own, progress, strangers=strangers)


@torch.inference_mode()
def learn_familiar(net: SliceNet, planes: np.ndarray) -> None:
    """Fit the network's ``familiarity`` to its training images."""
    described = [net.familiarity.describe(net.maps(part)[1]) for part in torch.split(torch.from_numpy(planes), 64)]
    net.familiarity.fit(torch.cat(described))


def own_split(slices: Slices, out: Path, recipe: fit.Recipe, *, resume: bool, progress: Callable[[str], None]) -> dict[str, float]:
    """What the same recipe seems to reach on the data set's own split: how much of it is the same patient on both sides."""
    there = np.array([row.file.startswith(f"{OWN_SPLIT}/") for row in slices.rows])
    if there.all() or not there.any():
        return {}
    parted = replace(slices, folds=np.where(there, 0, 1))
    net, _ = fit.fit(parted, 0, out, recipe, resume=resume, progress=progress)
    with torch.inference_mode():
        logits = net(torch.from_numpy(slices.planes[there])).double().numpy()
    labels = slices.labels[there]
    top = probabilities(logits, calibrate(logits, labels, shares(labels))).argmax(axis=1)
    recalls = [float((top[labels == c] == c).mean()) for c in range(len(CLASSES)) if (labels == c).any()]
    return {"accuracy": round(float((top == labels).mean()), 4), "balanced_accuracy": round(float(np.mean(recalls)), 4), "n": len(labels)}


def finish(
    members: Members,
    slices: Slices,
    out: Path,
    recipe: dict[str, Any],
    own: dict[str, float],
    progress: Callable[[str], None],
    *,
    strangers: int,
) -> dict[str, Any]:
    """Calibrate, measure, and write the three files."""
    before = read_card(ROOM / "card.toml")
    path = out / before.weights
    save_file({key: value.contiguous() for key, value in members.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    prior = shares(slices.labels)
    machine = f"{platform.machine()}, one thread, bfloat16 autocast"
    training = {**recipe, "images": len(slices.labels), "torch": torch.__version__, "machine": machine}
    card = replace(
        before,
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        network={**fit.NETWORK, "presence_temperature": 1.0, "prior": list(prior)},
        training=training,
    )
    looked = by_fold(Model(card, identity(card, "0" * 64), path, "cpu"), slices.planes, slices.folds)
    how = calibrate(looked.logits, slices.labels, prior)
    card = replace(
        card,
        temperature=how.kind,
        network={**card.network, "presence_temperature": how.presence},
        thresholds={**before.thresholds, "max_distance": round(float(np.quantile(looked.distance, 1 - REFUSED)), 3)},
    )
    metrics = figures(Model(card, identity(card, "0" * 64), path, "cpu"), slices, strangers, progress=progress)
    metrics |= {"own_split_with_shared_patients": own} if own else {}
    card = replace(card, metrics=metrics, limits=card_text.limits(before.limits, metrics, int(recipe["epochs"])))
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    summary = ", ".join(f"{key} {metrics[key]}" for key in ("balanced_accuracy", "macro_auc", "ece", "n"))
    progress(f"cross-validated over clusters: {summary}")
    return metrics


def evaluate(data: Path, *, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """The shipped weights by the protocol of the training: every slice by the network that saw nothing of its cluster."""
    weights = registry.verify_folder(ROOM)
    card = read_card(ROOM / "card.toml")
    model = Model(card, identity(card, registry.folder_digest(ROOM)), weights, "cpu")
    with cpu_threads(1):
        return figures(model, load(data, card.thresholds, report=progress), STRANGERS_OF_EACH, progress=progress)
