"""Cross-validation: trained folds are pooled, every image counts once, and missing folds are named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError
from deploy.cli.main import run
from models import registry
from models.card_writer import render_card
from tests.support.ham10000_like import make_ham10000_like
from training.calibration import fit_temperature
from training.dermoscopy import cross_validation
from training.dermoscopy.ham10000 import split
from training.dermoscopy.ham10000.data import CLASSES, HamImage, read_index
from training.dermoscopy.measure import held_out_table
from training.pages import model_pages

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ham10000_like(tmp_path_factory.mktemp("data"))


def write_fold(rows: tuple[HamImage, ...], fold: int, folder: Path, *, scale: float = 1.0) -> held_out_table.HeldOutTable:
    """Answers that are right three times in four, of the images that the fold holds out; logits ``scale`` times too large."""
    lesions = split.held_out(rows, fold)
    chosen = [row for row in rows if row.lesion_id in lesions]
    rng = np.random.default_rng(fold)
    logits = rng.normal(size=(len(chosen), 7))
    logits[np.arange(len(chosen)), [CLASSES.index(row.dx) for row in chosen]] += 2.0
    table = held_out_table.HeldOutTable(
        images=np.array([row.image_id for row in chosen]),
        logits=logits * scale,
        bare=logits * scale,
        temperature=np.full(len(chosen), 1.0),
        dice=np.full(len(chosen), 0.9),
        angle=np.full(len(chosen), 60.0),
        refused=np.zeros(len(chosen), bool),
    )
    folder.mkdir(parents=True)
    held_out_table.write_table(table, folder)
    card = registry.card(NAME)
    (folder / "card.toml").write_text(render_card(replace(card, training={**card.training, "fold": fold})))
    return table


def test_all_folds_together_count_every_image_once(data: Path, tmp_path: Path) -> None:
    rows = read_index(data)
    tables = [write_fold(rows, fold, tmp_path / f"fold{fold}", scale=3.0) for fold in range(split.FOLDS)]
    found = cross_validation.crossval(data, tmp_path, only_report=True)
    assert (found["folds"], found["folds_of"], found["n"]) == (5, 5, len(rows))
    assert sorted(np.concatenate([table.images for table in tables])) == sorted(row.image_id for row in rows)
    assert list(found["by_fold"]) == [f"fold {fold}" for fold in range(5)]
    assert sum(entry["n"] for entry in found["by_fold"].values()) == len(rows)
    low, high = found["intervals"]["balanced_accuracy"]
    assert low <= found["balanced_accuracy"] <= high
    assert set(found["classes"]["mel"]) == {"precision", "recall", "f1", "auc", "n"}
    assert found["by_skin_tone"]["very light"]["n"] == len(rows)
    assert "melanoma_sensitivity_at_90_specificity" in found
    assert json.loads((tmp_path / model_pages.FOLDS).read_text()) == found
    assert (tmp_path / "roc.png").is_file()
    # a temperature never saw the fold that it scales
    others = held_out_table.pool(tables[1:])
    truth = np.array([CLASSES.index(row.dx) for row in others.rows_of(rows)])
    parts = dict(enumerate(tables))
    assert cross_validation.temperature_without(parts, 0, rows) == fit_temperature(others.logits, truth) > 1.5


def test_a_single_fold_is_measured_and_the_number_of_folds_stated(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fold(read_index(data), 2, tmp_path / "fold2")
    assert run(["models", "crossval", NAME, "--data", str(data), "--out", str(tmp_path), "--only-report"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folds"] == 1
    assert "1 of 5 folds" in found["measured"]
    assert list(found["by_fold"]) == ["fold 2"]


def test_missing_and_misplaced_folds_are_errors(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no fold was trained"):
        cross_validation.crossval(data, tmp_path, only_report=True)
    write_fold(read_index(data), 1, tmp_path / "other")
    shutil.copytree(tmp_path / "other", tmp_path / "fold0")
    with pytest.raises(ModelError, match="holds fold 1"):
        cross_validation.crossval(data, tmp_path, only_report=True)
    assert run(["models", "crossval", "lung_nodule_ct", "--data", str(data), "--out", str(tmp_path)]) == 1


def test_the_page_shows_only_folds_of_the_shipped_weights(data: Path, tmp_path: Path) -> None:
    write_fold(read_index(data), 0, tmp_path / "fold0")
    cross_validation.crossval(data, tmp_path, only_report=True)
    (tmp_path / NAME).mkdir()
    shutil.copy(tmp_path / model_pages.FOLDS, tmp_path / NAME)
    assert "## Cross-validation" in model_pages.render_pages(NAME, tmp_path)[f"{NAME}-figures.md"]
    found = json.loads((tmp_path / model_pages.FOLDS).read_text())
    found["weights_sha256"] = {"fold 0": "0" * 64}
    (tmp_path / NAME / model_pages.FOLDS).write_text(json.dumps(found))
    assert "## Cross-validation" not in model_pages.render_pages(NAME, tmp_path)[f"{NAME}-figures.md"]


def test_the_difference_is_paired_by_image_and_resampled_by_lesion(data: Path, tmp_path: Path) -> None:
    rows = read_index(data)
    good = write_fold(rows, 0, tmp_path / "fold0")
    poor = replace(good, logits=np.roll(good.logits, 1, axis=1))
    found = cross_validation.paired_difference(good, poor, rows)
    for key in ("balanced_accuracy", "macro_auc"):
        assert 0.1 < found[key]["low"] <= found[key]["better_by"] <= found[key]["high"]
    assert cross_validation.paired_difference(good, good, rows)["macro_auc"] == {"better_by": 0.0, "low": 0.0, "high": 0.0}
    turned = held_out_table.select(poor, np.arange(len(poor.images))[::-1])
    assert cross_validation.paired_difference(good, turned, rows) == found  # the same images in another order
