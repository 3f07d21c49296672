"""``python -m training.federated.comparison``: three sites together, each alone, and all images in one place.

``--data DIR --out DIR [--scope all]``. The start is the network of fold 4 with a last layer of zeros. The sites divide the lesions of
fold 4, on which it was not trained; all are measured on the lesions of fold 0 that are set aside from all trainings. The rounds are those
of ``train federated server`` with the same plan, check and mean, in this process: FLARE only carries the weights. Written are the folders
start and sites, and comparison.json (of every layer comparison-all.json). A second start continues with the trainings that are missing.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from models.card import read_card
from training.bootstrap import bootstrap
from training.classifier_metrics import auc, class_recalls
from training.dermoscopy.ham10000.data import CLASSES, LesionImages, load_images, read_index
from training.dermoscopy.ham10000.split import held_out, set_aside
from training.federated.clear_start import HeldOutFeatures, HeldOutLogits, write_clear_start
from training.federated.local_training import load_ensemble, shared_tensors, train_locally
from training.federated.plan import ALL, HEAD, FederatedPlan
from training.federated.site_images import join_images, read_site_images
from training.federated.startup_kits import privacy_arguments
from training.federated.uneven_sites import divide_unevenly, write_sites
from training.federated.update_check import SiteUpdate, average, refused_updates

SITES = ("north", "south", "west")
FOLD, MEMBER = 4, "fold4"
PLAN = FederatedPlan(rounds=10, steps=6, min_sites=2, seed=20, learning_rate=1e-2)
PLAN_ALL = replace(PLAN, scope=ALL, learning_rate=5e-4)  # every layer, not zeros: a tenth of the rate or less
EPSILONS = (10.0, 100.0)  # of the last layer
TOGETHER, POOLED = "together", "pooled"
Weights = dict[str, np.ndarray]


def train_rounds(start: Path, sites: Mapping[str, LesionImages], plan: FederatedPlan, epsilon: float = 0.0) -> Weights:
    """The weights after all rounds of ``plan``; of one site the weights of that site alone. ``epsilon`` as of ``client --epsilon``."""
    card = read_card(start / "card.toml")
    weights: Weights = shared_tensors(load_ensemble(card, start / card.weights), plan.scope)
    for number in range(plan.rounds):
        updates = []
        for place, (site, images) in enumerate(sorted(sites.items())):
            result = train_locally(start, weights, images, plan, number)
            step = {name: value - weights[name] for name, value in result.tensors.items()}
            if epsilon:
                step = private_update(step, epsilon, 1000 * number + place)
            updates.append(SiteUpdate(site, {name: weights[name] + value for name, value in step.items()}, result.images))
        refused = refused_updates(updates, weights)
        accepted = [update for update in updates if update.site not in refused]
        weights = average(accepted) if accepted else weights
    return weights


def private_update(step: Weights, epsilon: float, seed: int) -> Weights:
    """The update of a site after FLARE's filter for differential privacy, as ``client --epsilon`` sends it.

    The filter draws from numpy's global generator.
    """
    from nvflare.apis.dxo import DXO, DataKind, from_shareable
    from nvflare.apis.fl_context import FLContext
    from nvflare.app_common.filters.svt_privacy import SVTPrivacy

    np.random.seed(seed)
    change = DXO(DataKind.WEIGHT_DIFF, data={name: value.copy() for name, value in step.items()})
    answer = SVTPrivacy(**privacy_arguments(epsilon)).process(change.to_shareable(), FLContext())
    return {name: np.asarray(value, np.float32) for name, value in from_shareable(answer).data.items()}


def trainings(start: Path, sites: Mapping[str, LesionImages], plan: FederatedPlan = PLAN) -> dict[str, Callable[[], Weights]]:
    """What is compared, by name. Alone and pooled there are as many steps in all as at the three sites together."""
    longer = replace(plan, steps=plan.steps * len(sites))
    found: dict[str, Callable[[], Weights]] = {TOGETHER: lambda: train_rounds(start, sites, plan)}
    found[POOLED] = lambda: train_rounds(start, {POOLED: join_images([sites[site] for site in sorted(sites)])}, longer)
    for site in sorted(sites):
        found[f"{site} alone"] = lambda site=site: train_rounds(start, {site: sites[site]}, longer)  # type: ignore[misc]
    for epsilon in EPSILONS if plan.scope == HEAD else ():
        found[f"{TOGETHER}, epsilon {epsilon:g}"] = lambda epsilon=epsilon: train_rounds(start, sites, plan, epsilon)  # type: ignore[misc]
    return found


def compare(logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Balanced accuracy and macro AUC of every training, and its difference from TOGETHER, with 95 % intervals (lesions redrawn)."""

    def figures(name: str, rows: np.ndarray) -> dict[str, float]:
        some, truth = logits[name][rows], labels[rows]
        shares = np.exp(some - some.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        areas = [auc(shares[:, c], truth == c) for c in range(len(CLASSES))]
        recalls = class_recalls(some.argmax(1), truth, len(CLASSES))
        return {"balanced_accuracy": float(np.nanmean(recalls)), "macro_auc": float(np.nanmean(areas))}

    found = {}
    for name in logits:

        def measure(rows: np.ndarray, name: str = name) -> dict[str, float]:
            own, shared = figures(name, rows), figures(TOGETHER, rows)
            return own | {f"{key}_minus_{TOGETHER}": own[key] - shared[key] for key in own}

        found[name] = bootstrap(measure, groups)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Train and compare by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scope", choices=(HEAD, ALL), default=HEAD, help="the last layer, or every layer")
    given = parser.parse_args(arguments)
    plan, mark = (PLAN, "") if given.scope == HEAD else (PLAN_ALL, f"-{ALL}")
    given.out.mkdir(parents=True, exist_ok=True)
    rows = read_index(given.data)
    aside, fold = set_aside(rows), held_out(rows, FOLD)
    divided = divide_unevenly([row for row in rows if row.lesion_id in fold - aside], SITES, PLAN.seed)
    sites = {site: read_site_images(folder) for site, folder in write_sites(given.data, divided, given.out / "sites").items()}
    kept = [row for row in rows if row.lesion_id in aside]
    images = load_images(given.data, given.out, kept, aside, report=print)
    start = write_clear_start(MEMBER, given.out / "start")
    measured, logits = (HeldOutLogits if mark else HeldOutFeatures)(start, images, np.arange(len(kept))), {}
    for name, train in trainings(start, sites, plan).items():
        path = given.out / f"{name}{mark}.safetensors"
        if not path.is_file():
            save_file(train(), path)
        logits[name] = measured.logits(load_file(path))
        print(f"{name}: trained", flush=True)
    counts = {
        site: dict(zip(CLASSES, np.bincount(one.labels, minlength=len(CLASSES)).tolist(), strict=True)) for site, one in sites.items()
    }
    result = {"plan": asdict(plan), "sites": counts, "held_out": len(kept)}
    result["figures"] = compare(logits, images.labels, np.array([row.lesion_id for row in kept]))
    (given.out / f"comparison{mark}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
