"""dermoscopy_7class: the comparison of a training from ImageNet weights with one from random weights."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.ham10000_like import CLASSES, make_ham10000_like
from training.dermoscopy.measure.transfer_control import compare, main
from training.dermoscopy.transfer import train

METRICS = {"balanced_accuracy", "macro_auc", "melanoma_sensitivity_at_90_specificity", "ece"}


def test_the_better_training_is_found_with_an_interval_that_leaves_out_zero() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, len(CLASSES), 400)
    right = np.eye(len(CLASSES))[labels]
    logits = {name: strength * right + rng.normal(0, 1, right.shape) for name, strength in (("pretrained", 4.0), ("random", 1.0))}
    found = compare(logits, labels, np.array([f"lesion {number // 2}" for number in range(400)]))
    assert (found["images"], found["lesions"]) == (400, 200)
    assert found["pretrained"]["balanced_accuracy"]["value"] > found["random"]["balanced_accuracy"]["value"] + 0.2
    difference = found["difference"]["balanced_accuracy"]
    assert difference["value"] == pytest.approx(
        found["pretrained"]["balanced_accuracy"]["value"] - found["random"]["balanced_accuracy"]["value"], abs=2e-4
    )
    assert 0 < difference["low"] < difference["value"] < difference["high"]


def test_equal_answers_differ_by_nothing() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, len(CLASSES), 100)
    logits = rng.normal(0, 1, (100, len(CLASSES)))
    found = compare({"pretrained": logits, "random": logits}, labels, np.arange(100).astype(str))
    assert {name: set(values.values()) for name, values in found["difference"].items()} == {key: {0.0} for key in METRICS}


def test_the_command_compares_two_trainings(tmp_path: Path) -> None:
    data = make_ham10000_like(tmp_path)
    for name in ("pretrained", "no-pretrained"):
        options = ["--steps", "1", "--batch", "2", "--input-px", "32", f"--{name}", "--out", str(tmp_path / name)]
        train.main(["--data", str(data), *options])
    files = ["--pretrained", str(tmp_path / "pretrained" / train.WEIGHTS), "--random", str(tmp_path / "no-pretrained" / train.WEIGHTS)]
    main(["--data", str(data), *files, "--input-px", "32", "--out", str(tmp_path / "control.json")])
    found = json.loads((tmp_path / "control.json").read_text())
    assert found["images"] > 0
    assert set(found["pretrained"]) == set(found["random"]) == METRICS
