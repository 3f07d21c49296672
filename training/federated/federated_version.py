"""Card and weights of a federated training, as `models import`, `models shadow`, `models compare` and `models activate` take them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from models.card import read_card
from models.card_writer import render_card
from training.federated.local_training import load_ensemble
from training.federated.plan import ALL, FederatedPlan

LIMIT = (
    "Trained further across sites from {name} {version}: nothing was measured on these weights yet. The temperature and the thresholds,"
    " operating points among them, are those of the version before{distance}; figures among the limits are of that version. Compare it in"
    " shadow before it serves."
)
OLD_DISTANCE = (
    ", as are the distance from the training images, the outline, and what age, sex and site add: the layers under them were trained"
    " without them"
)


def write_version(
    model: Path, out: Path, tensors: Mapping[str, np.ndarray], plan: FederatedPlan, rounds: Sequence[Mapping[str, Any]]
) -> None:
    """Write weights.safetensors and card.toml to ``out``: those of the folder ``model`` with ``tensors`` in place of its own.

    The card names the sites with the number of rounds and images of each, and the plan. Figures of the version before are left out.
    """
    before = read_card(model / "card.toml")
    ensemble = load_ensemble(before, model / before.weights)
    ensemble.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}, strict=False)
    path = out / before.weights
    save_file({key: value.contiguous() for key, value in ensemble.state_dict().items()}, path)
    path.chmod(0o644)  # safetensors writes for the owner alone; the node's user must read them
    sites: dict[str, dict[str, int]] = {}
    for one in rounds:
        for site, values in one["accepted"].items():
            known = sites.setdefault(site, {"rounds": 0, "images": 0})
            sites[site] = {"rounds": known["rounds"] + 1, "images": int(values["images"])}
    folds = {key: before.training[key] for key in ("fold", "folds") if key in before.training}  # what `models evaluate` holds out
    training = {
        **folds,
        "federated": {"from": f"{before.name} {before.version}", "from_sha256": before.weights_sha256, **asdict(plan), "sites": sites},
        "torch": torch.__version__,
    }
    card = replace(
        before,
        version=f"{before.version}+federated.{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}",
        weights_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        training=training,
        metrics={},
        limits=(LIMIT.format(name=before.name, version=before.version, distance=OLD_DISTANCE if plan.scope == ALL else ""), *before.limits),
    )
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
