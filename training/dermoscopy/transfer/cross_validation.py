"""``python -m training.dermoscopy.transfer.cross_validation``: the transfer learning in five folds, and what it adds.

``--data DIR --out DIR --base DIR``: ``--base`` holds the networks of the folds without ImageNet weights (``out/crossval/ensemble``). Every
image of HAM10000 counts once: it is classified by the EfficientNet and by the network without ImageNet weights that were not trained on
its lesion, and by both together, as the shipped model answers. The second is the control of the first, trained for more epochs.
Trainings are resumed where they stopped. Written are OUT/fold0..4, and crossval.json.
"""

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from core.errors import ModelError
from models.card import ModelCard, read_card
from models.classifier.efficientnet_lite import KIND
from models.dermoscopy.ensemble import Ensemble
from models.dermoscopy.patient import FACTS
from models.torch_threads import cpu_threads
from training.dermoscopy.cross_validation import fold_metrics, paired_difference, temperature_without
from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_index
from training.dermoscopy.ham10000.split import FOLDS, held_out
from training.dermoscopy.measure import held_out_table as tables
from training.dermoscopy.measure.card_metrics import HOW, card_metrics
from training.dermoscopy.measure.fold_answers import answer_fold, join_tables
from training.dermoscopy.measure.held_out_table import HeldOutTable
from training.dermoscopy.transfer.recipe import TransferRecipe
from training.dermoscopy.transfer.train import WEIGHTS, read_lite, train_to_file
from training.pages.model_pages import FOLDS as FOLDS_FILE

EFFICIENTNET, NETWORK, BOTH = "EfficientNet with ImageNet weights", "network without ImageNet weights", "both"
# Without HAM10000: one start for all folds, so that the mean of their weights is a network too, and no fold has seen its lesions.
START = TransferRecipe(steps=360, seed=80, input_px=128, leave_out="".join(map(str, range(FOLDS))))
HOW_BOTH = (
    HOW.replace("of the last epoch, no epoch was selected", "of the last epoch or step, none was selected")
    + "; an image is classified by the two networks that were not trained on its lesion, two views each, and no image is refused; each "
    "fold's temperature was fitted on the others"
)


def fold_recipe(fold: int) -> TransferRecipe:
    """The training of one fold: two thirds of the steps at 128 pixels."""
    return TransferRecipe(steps=2200, small_steps=1500, seed=80 + fold, leave_out=str(fold))


def train_folds(data: Path, out: Path, progress: Callable[[str], None] = print) -> None:
    """Train what ``out`` lacks of the common start and the five folds."""
    start = out / "start" / WEIGHTS
    if not start.is_file():
        train_to_file(data, start.parent, START, progress=progress)
    for fold in range(FOLDS):
        if not (out / f"fold{fold}" / WEIGHTS).is_file():
            progress(f"fold {fold} of {FOLDS}")
            train_to_file(data, out / f"fold{fold}", fold_recipe(fold), start=read_lite(start), progress=progress)


def measure_folds(data: Path, out: Path, base: Path, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """What crossval.json holds: the metrics of both networks together, of each, and their differences.

    Raises
    ------
    ModelError
        ``base`` has not the networks of all folds, or a fold is not trained.
    """
    card, rows = read_card(base / "card.toml"), read_index(data)
    parts: dict[str, dict[int, HeldOutTable]] = {EFFICIENTNET: {}, NETWORK: {}, BOTH: {}}
    hashes = {}
    for fold in range(FOLDS):
        networks = fold_networks(card, base, out / f"fold{fold}" / WEIGHTS, fold)
        lesions = held_out(rows, fold)
        with cpu_threads(1):
            answers = answer_fold(data, [row for row in rows if row.lesion_id in lesions], networks)
        for kind, table in (*answers.items(), (BOTH, join_tables(answers))):
            parts[kind][fold] = table
        progress(f"fold {fold}: " + ", ".join(f"{kind} {fold_metrics(CLASSES, parts[kind][fold], rows)}" for kind in parts))
        hashes[f"fold {fold}"] = card.training["members"][f"fold{fold}"]
        hashes[f"EfficientNet, fold {fold}"] = hashlib.sha256((out / f"fold{fold}" / WEIGHTS).read_bytes()).hexdigest()
    calibrated = {kind: calibrate(by_fold, rows) for kind, by_fold in parts.items()}
    pooled = {kind: tables.pool(list(by_fold.values())) for kind, by_fold in calibrated.items()}
    return {
        "folds": FOLDS,
        "folds_of": FOLDS,
        "weights_sha256": hashes,
        **card_metrics(card, pooled[BOTH], rows, HOW_BOTH),
        "by_fold": {f"fold {fold}": fold_metrics(CLASSES, table, rows) for fold, table in calibrated[BOTH].items()},
        "by_network": {kind: fold_metrics(CLASSES, table, rows) for kind, table in pooled.items()},
        "better_than_without_imagenet_weights": {
            kind: paired_difference(pooled[kind], pooled[NETWORK], rows) for kind in (EFFICIENTNET, BOTH)
        },
    }


def fold_networks(card: ModelCard, base: Path, lite: Path, fold: int) -> Ensemble:
    """The network of ``fold`` in ``base`` and the EfficientNet of the same fold. Raises ModelError where one of them is not there."""
    name, stored = f"fold{fold}", load_file(base / card.weights)
    if name not in card.network["members"] or not lite.is_file():
        raise ModelError(f"no {name} in {base}, or no {lite}", hint="make crossval trains both")
    members = {NETWORK: card.network["members"][name], EFFICIENTNET: {"kind": KIND, "input_px": fold_recipe(fold).input_px, "facts": FACTS}}
    networks = Ensemble({"members": members}, len(CLASSES))
    prefix = f"members.{name}."
    networks.network(NETWORK).load_state_dict({key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)})
    networks.network(EFFICIENTNET).load_state_dict(read_lite(lite).state_dict())
    return networks.eval()


def calibrate(by_fold: Mapping[int, HeldOutTable], rows: tuple[HamImage, ...]) -> dict[int, HeldOutTable]:
    """The tables with the temperature that was fitted on all other folds."""
    return {fold: tables.with_temperature(table, temperature_without(by_fold, fold, rows)) for fold, table in by_fold.items()}


def main(arguments: list[str] | None = None) -> None:
    """Train and measure by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds dermoscopy/index.csv")
    parser.add_argument("--out", type=Path, required=True, help="folder of the start, the folds and crossval.json")
    parser.add_argument("--base", type=Path, required=True, help="folder with card and weights of the networks of all five folds")
    parser.add_argument("--only-report", action="store_true", help="measure what is trained; train nothing")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.only_report:
        train_folds(given.data, given.out)
    found = measure_folds(given.data, given.out, given.base)
    (given.out / FOLDS_FILE).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
