"""Measures a version of the detector on real volumes: pasted real nodules, marked tumours, and what else it marks.

``python -m training.lung_nodule_ct.real.measurement.evaluate_real --data DIR --out DIR [--model FOLDER ...]``: the shipped version, or
another folder with card and weights; of two folders the first is measured on the volumes of fold 0 and the second on those of fold 1, each
of which must not have been trained on them; ``--fold`` measures on the volumes of one fold only. Candidates are kept in ``--out``, one file
for each volume and drawing of nodules, so that an interruption loses one. The marks are written there too: put beside card and weights,
they are what `models activate` compares with.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from models import registry
from models.card import read_card
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.regression.stored_marks import save_marks
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.real.backgrounds import read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.calibration import probability_by
from training.lung_nodule_ct.real.measurement.examination import PASTED, examine_all
from training.lung_nodule_ct.real.measurement.real_metrics import real_metrics, stored_scan
from training.lung_nodule_ct.real.nodule_crops import FOLDS

SEED = 5
SEEDS = (SEED, 6, 7, 8)  # each draws other nodules and other places
FIGURES = "figures.json"
HOW = (
    f"real nodules (LIDC-IDRI, at least three of four readers) pasted into real volumes of other patients, nodules and places drawn "
    f"{len(SEEDS)} times for each volume, and the tumours that readers marked there, each counted once; volumes and patients were not "
    "trained on; a nodule counts as found where a mark's centre lies within its radius (at least 5 mm); in volumes where one tumour alone "
    "was marked, a mark on another compact structure is neither right nor wrong (counted as uncertain); found_at_1, 4 and 8: at that many "
    "false marks per scan"
)


def evaluate_folders(
    data: Path, out: Path, folders: Sequence[Path], *, count: int = PASTED, fold: int | None = None, progress: Callable[[str], None] = print
) -> dict[str, Any]:
    """Examine every volume by the folder of its fold (one folder: by that), and write the figures to ``out``/figures.json."""
    card = read_card(folders[0] / "card.toml")
    loaded = [TwoStageDetector(folder / "weights.safetensors", card.network) for folder in folders]
    detectors = {number: loaded[number % len(loaded)] for number in range(FOLDS)}
    backgrounds = read_backgrounds(data, SEED)
    nodules = read_other_nodules(data, backgrounds)
    backgrounds = [one for one in backgrounds if fold is None or one.fold == fold]
    scans = examine_all(detectors, backgrounds, nodules, card.thresholds, out, seeds=SEEDS, count=count, progress=progress)
    probability = probability_by(card.thresholds)
    figures = real_metrics(scans, probability, card.thresholds["score"])
    save_marks([stored_scan(scan, probability) for scan in scans], out)
    found = {"measured": HOW, "version": card.version, **figures}
    (out / FIGURES).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, action="append", help="folder with card.toml and weights.safetensors; at most two")
    parser.add_argument("--pasted", type=int, default=PASTED, help="nodules pasted into each volume; 0: the volumes as they are")
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="only the volumes of this fold")
    given = parser.parse_args()
    with cpu_threads(1):
        chosen = given.model or [registry.MODELS_FOLDER / "lung_nodule_ct"]
        print(json.dumps(evaluate_folders(given.data, given.out, chosen, count=given.pasted, fold=given.fold), indent=2))
