"""The release of new weights of the lung nodule model: measured beside the version before, and described by its card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.card import read_card
from models.regression.gate import compare_folders
from models.regression.stored_marks import read_marks
from training.lung_nodule_ct.real import release
from training.lung_nodule_ct.real.calibration import crossed_probabilities, fit_probability, probability_by
from training.lung_nodule_ct.real.measurement.examination import ExaminedCandidate, ExaminedScan, PresentNodule, without_marked
from training.lung_nodule_ct.real.measurement.measured_sentences import index_of


def made_up_scans(skill: float) -> list[ExaminedScan]:
    """Five scans of twelve nodules and a tumour, with ten false candidates; ``skill`` 0..1 parts the scores of both."""
    rng = np.random.default_rng(4)
    scans = []
    for number in range(5):
        targets = [PresentNodule(4.0 + index, "solid", ("isolated", "pleural")[index % 2], False) for index in range(12)]
        targets.append(PresentNodule(30.0, "", "", True))
        right = [(index, skill + (1 - skill) * rng.random()) for index in range(len(targets))]
        wrong = [(-1, (1 - skill) * rng.random()) for _ in range(10)]
        marks = [(target, float(score), False) for target, score in (*right, *wrong)] + [(-1, 0.9, True)]
        candidates = [ExaminedCandidate((40.0 * n, 2.0, 3.0), s, s, 8.0, target, doubt) for n, (target, s, doubt) in enumerate(marks)]
        scans.append(ExaminedScan(f"scan {number}", (1.0, 1.0, 1.0), tuple(targets), tuple(candidates)))
    return scans


def test_the_card_states_the_figures_of_both_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = release.MODEL / "weights.safetensors"
    monkeypatch.setattr(release, "examine", lambda data, path, card, out, progress: made_up_scans(0.2 if out.name == "before" else 0.6))
    before = read_card(release.MODEL / "card.toml")
    card = release.make_release(tmp_path, weights, tmp_path, "9.0.0", {"seed": 5})
    assert read_card(tmp_path / "card.toml") == card
    assert (card.version, card.training["seed"], card.training["initial"]["version"]) == ("9.0.0", 5, before.version)
    after, known = card.metrics["held_out_patients"], before.version.replace(".", "_")
    change = card.metrics[f"difference_from_{known}"]["sensitivity_at_4_false_marks"]
    assert after["sensitivity"] == after["at_4_false_per_scan"] == 1.0
    assert card.metrics[f"version_{known}_on_the_same"]["at_4_false_per_scan"] < 1.0
    assert change["low"] > 0
    assert f"changed from {change['before']:.2f} to 1.00" in card.limits[index_of(card.limits, "Version ")]
    assert "5 of 5 tumours" in card.limits[1]
    assert "10 of 10 of 4 to 6 mm" in card.limits[1]
    assert "10 of 10 of 4 to 6 mm" in card.looked_for
    assert len(card.limits) == len(before.limits)
    assert len(read_marks(tmp_path) or ()) == 5
    assert compare_folders(tmp_path, tmp_path)[0].difference == 0.0


def test_the_probability_of_a_mark_is_measured_with_the_fit_to_other_volumes() -> None:
    """Two drawings of nodules in one volume share its vessels, so that neither may be in the fit for the other."""
    first, second, *others = made_up_scans(0.3)
    second = replace(second, name=first.name)
    p, truth, weights = crossed_probabilities([first, second, *others])
    probability = probability_by(fit_probability(others))
    usable = [one for scan in (first, second) for one in scan.candidates if not one.uncertain]
    assert p[: len(usable)].tolist() == [probability(one) for one in usable]
    assert len(p) == len(truth) == len(weights) == 5 * 23


def test_a_marked_tumour_counts_once_in_several_drawings_of_nodules() -> None:
    scan = made_up_scans(0.6)[0]
    later = without_marked(scan)
    assert [target.marked for target in later.targets] == [False] * 12
    on_the_tumour = [one for one in scan.candidates if one.target == 12]
    assert len(on_the_tumour) == 1
    (changed,) = [one for one in later.candidates if one.centre == on_the_tumour[0].centre]
    assert (changed.target, changed.uncertain) == (-1, True)
    assert [one for one in later.candidates if one.target >= 0] == [one for one in scan.candidates if 0 <= one.target < 12]


def test_a_sentence_without_a_place_in_the_card_is_an_error() -> None:
    with pytest.raises(ValueError, match="begins with 'Nothing like'"):
        index_of(["Measured on two volumes."], "Nothing like this.")
