"""``python -m training.lung_nodule_ct.real.release``: calibrate and measure new weights, and write the release.

``--data DIR --weights FILE --out DIR --version 0.7.0 --recipe JSON``. The new weights and the shipped version are run on the volumes of
fold 0 with the same pasted nodules; neither may have been trained on them. Written are weights.safetensors, card.toml and the marks that
`models activate` compares with. The sentences of the card that state figures are written anew, all others are kept.
"""

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models import registry
from models.card import ModelCard, read_card
from models.card_writer import render_card
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.regression.detector_changes import compare_marks
from models.regression.stored_marks import save_marks
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.real.backgrounds import read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.calibration import calibrate, probability_by
from training.lung_nodule_ct.real.measurement.evaluate_real import HOW, SEED, SEEDS
from training.lung_nodule_ct.real.measurement.examination import ExaminedScan, examine_all
from training.lung_nodule_ct.real.measurement.measured_sentences import measured_sentences
from training.lung_nodule_ct.real.measurement.real_metrics import real_metrics, stored_scan

FOLD = 0
VOLUMES = "LIDC-IDRI 0001 and 0745, QIN LSC-0028, LSC-0064 and LUNG-01-0013"  # of fold 0
ALLOWED = 4.0  # false marks per scan at the operating point
GROUPS_BEFORE = ("4_to_6_mm", "6_to_10_mm", "10_to_20_mm", "from_6_mm", "marked_tumours")  # which the card gives of the version before
MODEL = registry.MODELS_FOLDER / "lung_nodule_ct"


def make_release(
    data: Path,
    weights: Path,
    out: Path,
    version: str,
    recipe: Mapping[str, Any],
    *,
    base: Path = MODEL,
    progress: Callable[[str], None] = print,
) -> ModelCard:
    """Write the release of ``weights`` to ``out``, and return its card. ``recipe``: what the card says of the training.

    ``base`` holds card and weights of the version before. Interrupted, it continues after the last examined volume.
    """
    before = read_card(base / "card.toml")
    old = examine(data, base / before.weights, before, out / "before", progress)
    new = examine(data, weights, before, out / "after", progress)
    fitted = calibrate(new, ALLOWED)
    thresholds = {**before.thresholds, **fitted["thresholds"]}
    figures = real_metrics(new, probability_by(thresholds), thresholds["score"]) | {"calibration_error": fitted["calibration_error"]}
    figures_before = real_metrics(old, probability_by(before.thresholds), before.thresholds["score"])
    stored = [stored_scan(scan, probability_by(thresholds)) for scan in new]
    changes = compare_marks([stored_scan(scan, probability_by(before.thresholds)) for scan in old], stored)
    differences = {
        one.metric: {key: round(getattr(one, key), 3) for key in ("before", "after", "low", "high")} | {"nodules": one.cases}
        for one in changes
        if not one.subgroup
    }
    figures_before["by_group"] = {name: group for name, group in figures_before["by_group"].items() if name in GROUPS_BEFORE}
    known = before.version.replace(".", "_")
    metrics = {
        "measured": f"{HOW}; volumes {VOLUMES}; version {before.version} was measured on the same nodules in the same volumes",
        "held_out_patients": figures,
        f"version_{known}_on_the_same": figures_before,
        f"difference_from_{known}": differences,
    }
    save_marks(stored, out)
    shutil.copyfile(weights, out / before.weights)
    (out / before.weights).chmod(0o644)
    looked_for, limits = measured_sentences(before, figures, figures_before, differences)
    card = replace(
        before,
        version=version,
        weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest(),
        looked_for=looked_for,
        limits=limits,
        thresholds=thresholds,
        metrics=metrics,
        training={**before.training, "initial": initial_of(before), **recipe},
    )
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    return card


def examine(data: Path, weights: Path, card: ModelCard, out: Path, progress: Callable[[str], None]) -> list[ExaminedScan]:
    """Every candidate of ``weights`` in the volumes of fold FOLD with their pasted nodules; kept in ``out``."""
    detector = TwoStageDetector(weights, card.network)
    backgrounds = read_backgrounds(data, SEED)
    nodules = read_other_nodules(data, backgrounds)
    chosen = [one for one in backgrounds if one.fold == FOLD]
    return examine_all({FOLD: detector}, chosen, nodules, card.thresholds, out, seeds=SEEDS, progress=progress)


def initial_of(card: ModelCard) -> dict[str, str]:
    """What the new card says of the weights that the training continued."""
    return {"version": card.version, "weights_sha256": card.weights_sha256, "command": f"see the card of {card.version}"}


def main(arguments: list[str] | None = None) -> None:
    """Make the release by the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="of both stages, as fine_tune writes them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", required=True, help="of the new card")
    parser.add_argument("--recipe", type=json.loads, default={}, help="what the card says of the training, JSON")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    with cpu_threads(1):
        card = make_release(given.data, given.weights, given.out, given.version, given.recipe)
    print(json.dumps(card.metrics, indent=2))


if __name__ == "__main__":
    main()
