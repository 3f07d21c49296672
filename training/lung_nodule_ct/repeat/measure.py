"""Measures how findings of two examinations of one patient are matched, and how their measured volumes repeat.

``python -m training.lung_nodule_ct.repeat.measure --data DIR --out DIR``: real nodules of other patients are pasted into real
volumes; the second examination is made from the first (`second_examination`), where a part of the nodules is gone and others have come.
The shipped network looks at both. No real pair was available. Findings are kept in ``--out``, one file per volume and change, so that an
interruption loses one of them, and ``repeated.json`` has the figures.
"""

import argparse
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.concepts import codes
from core.policy.priors.comparison import measured
from core.policy.priors.finding_matches import PlacedFinding, match_findings
from core.policy.priors.growth import judge_volumes
from core.records import Change, Finding, OrganPlace
from imaging.volume.volume import Volume
from models import runtime
from models.ct.isotropic_grid import Index, Spacing
from models.lung_nodule_ct.candidates import LEAST_REACH_MM
from models.lung_nodule_ct.measuring_error import VOLUME_ERROR
from models.torch_threads import cpu_threads
from training.lung_nodule_ct.real.backgrounds import Background, read_backgrounds, read_other_nodules
from training.lung_nodule_ct.real.measurement.evaluate_real import SEED
from training.lung_nodule_ct.real.nodule_crops import FOLDS, RealNodule
from training.lung_nodule_ct.real.prepared_volumes import paste_nodules
from training.lung_nodule_ct.repeat.second_examination import REPOSITIONINGS, examine_again

BOTH, ONE = 6, 3  # nodules that both examinations show, and that only the first or only the second shows
FOLD = 0  # volumes that the network was not trained on
OTHER_LIMITS = (1.5, 1.7, 2.0, 2.2)  # of the ratio of two volumes, for all sizes: what would be called changed

MatchOutcome = tuple[str, float, Change | None]
"""right, wrong, missing or none; of a right match the ratio of the volumes, and what it is called."""


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding with its native (z, y, x) index in the first examination."""

    placed: PlacedFinding
    centre: Index
    volume_mm3: float


def measure(data: Path, out: Path, *, fold: int = FOLD, progress: Callable[[str], None] = print) -> dict[str, Any]:
    """Measure on the volumes of a fold after every change; write the figures to ``out``/repeated.json."""
    backgrounds = read_backgrounds(data, SEED)
    nodules = read_other_nodules(data, backgrounds)
    model = runtime.load("lung_nodule_ct", device="cpu")
    out.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, list[MatchOutcome]] = {name: [] for name in REPOSITIONINGS}
    for background in backgrounds:
        if background.fold != fold:
            continue
        for name, path in _examined(model, background, nodules, out, progress).items():
            kept = json.loads(path.read_text(encoding="utf-8"))
            first, second = ([_seen_from(one) for one in kept[which]] for which in ("first", "second"))
            outcomes[name] += compare(first, second, _triple(kept["spacing_mm"]))
    figures = {name: summarise(found) for name, found in outcomes.items()}
    figures["all"] = summarise([one for found in outcomes.values() for one in found])
    (out / "repeated.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _examined(
    model: runtime.Model, background: Background, nodules: Sequence[RealNodule], out: Path, progress: Callable[[str], None]
) -> dict[str, Path]:
    """The files with the findings of both examinations, by the name of the change; those that are missing are made."""
    paths = {name: out / f"{background.name}-{name}.json" for name in REPOSITIONINGS}
    if all(path.is_file() for path in paths.values()):
        return paths
    series = background.prepare()
    rng = np.random.default_rng([SEED, 53, zlib.crc32(background.name.encode())])
    shared, _, _ = paste_nodules(series, nodules, rng, BOTH)
    first, second = (paste_nodules(replace(series, hu=shared), nodules, rng, ONE)[0] for _ in range(2))
    seen_first = [seen_finding(one, lambda index: index) for one in find_nodules(model, first, series.spacing_mm)]
    for name, change in REPOSITIONINGS.items():
        again = examine_again(second, series.spacing_mm, change)
        seen_second = [seen_finding(one, again.in_first) for one in find_nodules(model, again.hu, again.spacing_mm)]
        kept = {"spacing_mm": series.spacing_mm, "first": [_as_dict(one) for one in seen_first]}
        paths[name].write_text(json.dumps({**kept, "second": [_as_dict(one) for one in seen_second]}), encoding="utf-8")
        progress(f"{background.name}, {name}: {len(seen_first)} and {len(seen_second)} findings")
    return paths


def find_nodules(model: runtime.Model, hu: np.ndarray, spacing_mm: Spacing) -> list[tuple[int, Finding, Index]]:
    """The findings of a volume with their numbers and native (z, y, x) indexes."""
    uids = tuple(f"2.25.{number + 1}" for number in range(len(hu)))
    affine = np.diag([spacing_mm[2], spacing_mm[1], spacing_mm[0], 1.0])
    volume = Volume(hu, affine, spacing_mm, uids, (1,) * len(hu), "2.25.99", ())
    findings = model.predict([volume])[0].findings
    return [(number, one, volume.index(one.position_mm)) for number, one in enumerate(findings, 1) if one.position_mm is not None]


def seen_finding(found: tuple[int, Finding, Index], in_first: Callable[[Index], Index]) -> SeenFinding:
    """A finding with its place in the first examination. ``in_first`` maps an index of the examination in which it was found."""
    number, finding, index = found
    side = "" if finding.side is None else finding.side.meaning
    placed = PlacedFinding(number, side, finding.place, finding.diameter_mm)
    return SeenFinding(placed, in_first(index), measured(finding, codes.VOLUME) or 0.0)


def compare(first: Sequence[SeenFinding], second: Sequence[SeenFinding], spacing_mm: Spacing) -> list[MatchOutcome]:
    """For each finding of the second examination right, wrong, missing or none; of a right match also volume ratio and change."""
    truth = true_partners(first, second, spacing_mm)
    matches = match_findings([one.placed for one in second], [one.placed for one in first])
    by_number = {one.placed.number: one for one in first}
    outcomes: list[MatchOutcome] = []
    for one in second:
        wanted, got = truth.get(one.placed.number), matches[one.placed.number].number
        if got is None:
            outcomes.append(("none" if wanted is None else "missing", math.nan, None))
        elif got != wanted:
            outcomes.append(("wrong", math.nan, None))
        else:
            before = by_number[got]
            smaller = min(one.placed.diameter_mm or 0.0, before.placed.diameter_mm or 0.0)
            change = judge_volumes(before.volume_mm3, one.volume_mm3, VOLUME_ERROR.ratio_95(smaller))
            outcomes.append(("right", one.volume_mm3 / before.volume_mm3, change))
    return outcomes


def true_partners(first: Sequence[SeenFinding], second: Sequence[SeenFinding], spacing_mm: Spacing) -> dict[int, int]:
    """The findings that mark the same place: each the nearest of the other, within the radius, at least 5 mm."""
    partners = {}
    for one in second if first else ():
        near = _nearest(one, first, spacing_mm)
        radius = max((near.placed.diameter_mm or 0.0) / 2, LEAST_REACH_MM)
        if _nearest(near, second, spacing_mm) is one and apart_mm(one, near, spacing_mm) <= radius:
            partners[one.placed.number] = near.placed.number
    return partners


def _nearest(one: SeenFinding, others: Sequence[SeenFinding], spacing_mm: Spacing) -> SeenFinding:
    return min(others, key=lambda other: apart_mm(one, other, spacing_mm))


def apart_mm(one: SeenFinding, other: SeenFinding, spacing_mm: Spacing) -> float:
    """Distance of the places of two findings in the first examination."""
    return float(np.linalg.norm(np.subtract(one.centre, other.centre) * spacing_mm))


def summarise(outcomes: Sequence[MatchOutcome]) -> dict[str, Any]:
    """Counts, and how the volumes of rightly matched findings repeat: median and 95 % of the ratio, the larger over the smaller.

    ``called_changed``: by the rule in use; ``beyond_``: by one limit for all sizes.
    """
    counts = Counter(word for word, _, _ in outcomes)
    ratios = np.array([max(ratio, 1 / ratio) for _, ratio, _ in outcomes if not math.isnan(ratio)])
    changed = sum(change not in (None, Change.WITHIN_ERROR) for _, _, change in outcomes)
    beyond = {f"beyond_{limit:g}": int((ratios > limit).sum()) for limit in OTHER_LIMITS}
    spread = {} if not len(ratios) else {f"ratio_{share}": round(float(np.quantile(ratios, share / 100)), 2) for share in (50, 95)}
    return {**{word: counts[word] for word in ("right", "wrong", "missing", "none")}, "called_changed": changed, **beyond, **spread}


def _as_dict(one: SeenFinding) -> dict[str, Any]:
    place = one.placed.place
    return {
        "number": one.placed.number, "side": one.placed.side, "diameter_mm": one.placed.diameter_mm, "centre": one.centre,
        "volume_mm3": one.volume_mm3, "place": None if place is None else {"share": place.share, "extent_mm": place.extent_mm},
    }  # fmt: skip


def _seen_from(kept: dict[str, Any]) -> SeenFinding:
    place = None if kept["place"] is None else OrganPlace(**{name: _triple(values) for name, values in kept["place"].items()})
    placed = PlacedFinding(kept["number"], kept["side"], place, kept["diameter_mm"])
    return SeenFinding(placed, _triple(kept["centre"]), kept["volume_mm3"])


def _triple(values: Sequence[float]) -> Index:
    first, second, third = values
    return first, second, third


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", type=int, choices=range(FOLDS), default=FOLD, help="0: volumes that the network was not trained on")
    given = parser.parse_args()
    with cpu_threads(1):
        print(json.dumps(measure(given.data, given.out, fold=given.fold), indent=2))
