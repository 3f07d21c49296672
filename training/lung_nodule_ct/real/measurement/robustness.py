"""Measures a detector on held-out volumes with thicker slices, less dose and partial coverage, and by contrast and thickness of volumes.

``python -m training.lung_nodule_ct.real.measurement.robustness --data DIR --out DIR [--model FOLDER] [--card]``: the nodules are those of
`evaluate_real`, pasted before the change. Candidates are kept in ``--out``, one file per volume and change. The figures are written to
robustness.json, and with ``--card`` to the card of the folder.
"""

import argparse
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from models import registry
from models.card import read_card
from models.card_writer import render_card
from models.lung_nodule_ct.suitability import BY_ACQUISITION, thick_slices_sentence
from models.lung_nodule_ct.two_stages import TwoStageDetector
from models.regression.stored_marks import sort_marks
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.real.backgrounds import Background, read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.calibration import probability_by
from training.lung_nodule_ct.real.measurement.evaluate_real import SEED
from training.lung_nodule_ct.real.measurement.examination import PASTED, ExaminedScan, examine_pasted, paste_into, reported_marks, scan_from
from training.lung_nodule_ct.real.measurement.measured_sentences import index_of
from training.lung_nodule_ct.real.measurement.real_metrics import Score, per_scan, share, stored_scan
from training.lung_nodule_ct.real.measurement.variations import UNCHANGED, VARIATIONS, Variation, Volume
from training.lung_nodule_ct.real.nodule_crops import RealNodule, fold_of

FOLD = 0
SMALLEST_MM = 4.0
THICK_MM = 2.75
CONTRAST_HU = 100.0  # of the middle of the chest: 35 to 40 HU without an agent, 150 to 300 HU with one in the volumes of the data folder


@dataclass(frozen=True, slots=True)
class VariedScan:
    """One volume after a change: its candidates, the indexes of the targets that it still shows, and how it was acquired."""

    scan: ExaminedScan
    shown: tuple[int, ...]
    contrast: bool
    thick: bool


def examine_variations(
    detector: TwoStageDetector, backgrounds: Sequence[Background], nodules: Sequence[RealNodule], thresholds: Mapping[str, float],
    out: Path, *, seed: int = SEED, count: int = PASTED, variations: Mapping[str, Variation] = VARIATIONS,
    progress: Callable[[str], None] = print,
) -> dict[str, list[VariedScan]]:  # fmt: skip
    """Examine every volume after every change, by the name of the change; a volume is prepared once for all of them."""
    found: dict[str, list[VariedScan]] = {name: [] for name in variations}
    out.mkdir(parents=True, exist_ok=True)
    for background in backgrounds:
        paths = {name: out / f"{background.name}-{name}.json" for name in variations}
        if not all(path.is_file() for path in paths.values()):
            own = [nodule for nodule in nodules if fold_of(nodule.patient) == background.fold]
            pasted = paste_into(background, own, seed=seed, count=count)
            series = pasted.series
            for name, variation in variations.items():
                rng = np.random.default_rng([seed, 41, zlib.crc32(f"{series.name} {name}".encode())])
                varied = variation(pasted.hu, series.spacing_mm, series.noise, rng)
                low, high = varied.kept
                shown = tuple(index for index, centre in enumerate(pasted.centres) if low <= centre[0] <= high - 1)
                scan = examine_pasted(detector, pasted, thresholds, varied)
                acquired = {"contrast": has_contrast(series.hu), "thick": series.spacing_mm[0] > THICK_MM}
                paths[name].write_text(json.dumps({"scan": asdict(scan), "shown": shown, **acquired}), encoding="utf-8")
                progress(f"{series.name}, {name}: {len(shown)} nodules, {len(scan.candidates)} candidates")
        for name, path in paths.items():
            kept = json.loads(path.read_text(encoding="utf-8"))
            found[name].append(VariedScan(scan_from(kept["scan"]), tuple(kept["shown"]), kept["contrast"], kept["thick"]))
    return found


def has_contrast(hu: Volume) -> bool:
    """Whether blood is enhanced: the median of what is denser than fat, in the middle third of the chest."""
    z, y, x = hu.shape
    middle = hu[z // 3 : 2 * z // 3, y // 4 : 3 * y // 4, x // 3 : 2 * x // 3]
    dense = middle[(middle > -50) & (middle < 450)]
    return bool(dense.size) and float(np.median(dense)) > CONTRAST_HU


def robustness_figures(examined: Mapping[str, Sequence[VariedScan]], score: Score, operating: float) -> dict[str, dict[str, Any]]:
    """For each change, and for the volumes as acquired by contrast and by thickness, the share of nodules from 4 mm that is found.

    ``found_as_acquired``: of the same nodules without the change.
    """
    plain = examined[UNCHANGED]
    figures = {name: _row(scans, plain, score, operating) for name, scans in examined.items()}
    for name, chosen in (
        ("volumes_with_contrast", [one.contrast for one in plain]),
        ("volumes_without_contrast", [not one.contrast for one in plain]),
        ("volumes_of_2_to_2_5_mm", [not one.thick for one in plain]),
        ("volumes_of_3_mm", [one.thick for one in plain]),
    ):
        own = [one for one, wanted in zip(plain, chosen, strict=True) if wanted]
        if own:
            figures[name] = _row(own, own, score, operating)
    return figures


def _row(scans: Sequence[VariedScan], plain: Sequence[VariedScan], score: Score, operating: float) -> dict[str, Any]:
    counted = [
        [index for index in one.shown if one.scan.targets[index].diameter_mm >= SMALLEST_MM and not one.scan.targets[index].marked]
        for one in scans
    ]
    marks = sort_marks([stored_scan(one.scan, score) for one in scans])
    return {
        "volumes": len(scans),
        "nodules": sum(len(one) for one in counted),
        "found": share(_found(scans, counted, score) >= operating),
        "found_as_acquired": share(_found(plain, counted, score) >= operating),
        "false_positives_per_scan": per_scan(marks.false >= operating, [one.scan for one in scans]),
    }


def _found(scans: Sequence[VariedScan], counted: Sequence[Sequence[int]], score: Score) -> np.ndarray:
    """The highest probability of a mark on each counted nodule; 0 of a missed one."""
    best: list[float] = []
    for one, indexes in zip(scans, counted, strict=True):
        own = dict.fromkeys(indexes, 0.0)
        for candidate, scored in reported_marks(one.scan, score):
            if candidate.target in own:
                own[candidate.target] = max(own[candidate.target], scored)
        best += own.values()
    return np.array(best)


def measure_robustness(
    data: Path, out: Path, folder: Path, *, count: int = PASTED, progress: Callable[[str], None] = print
) -> dict[str, Any]:
    """Measure card and weights of ``folder`` on the volumes of fold FOLD, which they must not have been trained on."""
    card = read_card(folder / "card.toml")
    backgrounds = read_backgrounds(data, SEED)
    nodules = read_other_nodules(data, backgrounds)
    chosen = [one for one in backgrounds if one.fold == FOLD]
    detector = TwoStageDetector(folder / card.weights, card.network)
    examined = examine_variations(detector, chosen, nodules, card.thresholds, out, count=count, progress=progress)
    figures = robustness_figures(examined, probability_by(card.thresholds), card.thresholds["score"])
    (out / "robustness.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def write_to_card(path: Path, figures: dict[str, Any]) -> None:
    """Replace the figures by acquisition of a card, and the limit that states those of thick slices."""
    card, sentence = read_card(path), thick_slices_sentence(figures)
    limits = [limit for limit in card.limits if not limit.startswith(sentence[: len("With slices of ")])]
    limits.insert(index_of(limits, "A pasted nodule is real") + 1, sentence)
    changed = replace(card, limits=tuple(limits), metrics={**card.metrics, BY_ACQUISITION: figures})
    path.write_text(render_card(changed), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=registry.MODELS_FOLDER / "lung_nodule_ct", help="folder with card and weights")
    parser.add_argument("--card", action="store_true", help="write the figures to card.toml, too")
    given = parser.parse_args()
    with cpu_threads(1):
        found = measure_robustness(given.data, given.out, given.model)
    if given.card:
        write_to_card(given.model / "card.toml", found)
    print(json.dumps(found, indent=2))
