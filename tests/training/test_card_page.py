"""The pages of docs/models say what the cards say, and everything that a reader must know of a model."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from core.errors import ModelError
from models import registry
from training.pages import model_pages
from training.pages.card_page import card_page
from training.pages.figures_page import figures_page
from training.targets import measured_value, read_targets

NAMES = registry.names()
TARGETS = """
tried = "harder."
[[targets]]
what = "hits"
of = "cross-validation"
figure = "balanced_accuracy"
least = 0.75
[[targets]]
what = "calibrated"
of = "card"
figure = "ece"
most = 0.04
[[targets]]
what = "noise"
of = "card"
figure = "refused.noise"
least = 0.95
[[targets]]
what = "more"
of = "card"
figure = "not.there"
least = 0.5
"""


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_the_generated_one(name: str) -> None:
    for file, text in model_pages.render_pages(name).items():
        path = model_pages.PAGES / file
        assert path.is_file(), "run `make docs`"
        assert path.read_text(encoding="utf-8") == text, f"{path} is not what the card says: run `make docs`"


def test_every_model_has_its_three_pages_and_no_other_page_is_left() -> None:
    pages = {f"{name}{page}" for name in NAMES for page in ("", "-figures", "-training")}
    assert {path.stem for path in model_pages.PAGES.glob("*.md")} == pages | {"your-own"}


@pytest.mark.parametrize("name", NAMES)
def test_the_pages_hold_what_a_reader_must_know(name: str) -> None:
    card, text = registry.card(name), "".join(model_pages.render_pages(name).values())
    said = [card.not_for, card.intended_use, card.looked_for, card.licence, card.weights_sha256, card.version, *card.limits]
    said += [source.licence for source in card.data] + [f"{label.code.scheme} {label.code.value}" for label in card.labels]
    said += [f"high above {card.tiers.high:g}", *card.thresholds, str(card.metrics["measured"])]
    assert [one for one in said if one not in text] == []


def test_a_changed_card_changes_the_page() -> None:
    card = registry.card("dermoscopy_7class")
    text = card_page(card, "dermoscopy") + figures_page(card, "dermoscopy")
    assert card_page(card, "dermoscopy") + figures_page(card, "dermoscopy") == text
    for other in (replace(card, not_for="x | y"), replace(card, temperature=2.5), replace(card, metrics={"n": 3})):
        assert card_page(other, "dermoscopy") + figures_page(other, "dermoscopy") != text
    assert "x \\| y" not in card_page(replace(card, not_for="x | y"), "dermoscopy")  # not in a table, so not escaped


def test_figures_are_aligned_and_have_the_same_decimals_in_a_column() -> None:
    sexes = {"F": {"auc": 0.9, "n": 4}, "M": {"auc": 1.0, "n": 12}}
    metrics = {"measured": "so and so", "n": 975, "accuracy": 0.5, "source": "a test", "ece": 0.0303, "by_sex": sexes}
    card = replace(registry.card("dermoscopy_7class"), metrics=metrics)
    text = figures_page(card, "dermoscopy")
    assert "|  |  |\n| --- | ---: |\n| n | 975 |\n| accuracy | 0.5000 |\n| ece | 0.0303 |\n\n" in text
    assert "\n\n- source: a test\n" in text
    assert "|  | auc | n |\n| --- | ---: | ---: |\n| F | 0.9 | 4 |\n| M | 1.0 | 12 |" in text
    text = card_page(card, "dermoscopy", {"measured": "so and so", "intervals": {"accuracy": [0.5, 0.4, 0.61], "ece": [1.0, 0.0, 1.0]}})
    assert "| --- | ---: | ---: |\n| accuracy | 0.50 | 0.40 to 0.61 |" in text


def test_a_calibration_error_below_its_interval_is_explained() -> None:
    card = registry.card("dermoscopy_7class")
    for low, explained in ((0.03, True), (0.01, False)):
        measured = {"measured": "so and so", "intervals": {"ece": (0.02, low, 0.06)}}
        assert ("its interval lies too high" in card_page(card, "dermoscopy", measured)) == explained


def test_figures_of_other_weights_are_not_shown(tmp_path: Path) -> None:
    name = "dermoscopy_7class"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "roc.png").write_bytes(b"")
    figures = {"measured": "so and so", "weights_sha256": "0" * 64, "intervals": {"accuracy": [0.5, 0.4, 0.6]}}
    (folder / model_pages.FIGURES).write_text(json.dumps(figures))
    assert "roc.png" not in model_pages.render_pages(name, tmp_path)[f"{name}.md"]
    assert "so and so" not in model_pages.render_pages(name, tmp_path)[f"{name}.md"]
    (folder / model_pages.FIGURES).write_text(json.dumps(figures | {"weights_sha256": registry.card(name).weights_sha256}))
    text = model_pages.render_pages(name, tmp_path)[f"{name}.md"]
    assert "![roc](dermoscopy_7class/roc.png)" in text
    assert "| accuracy | 0.5 | 0.4 to 0.6 |" in text


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    assert [path.stem for path in model_pages.write_pages(tmp_path)] == [f"{name}{page}" for name in NAMES for page in ("", "-figures")]
    assert model_pages.write_pages(tmp_path) == []


def test_pages_are_written_without_torch(tmp_path: Path) -> None:
    code = "import sys; from training.pages import model_pages as m; m.write_pages(m.Path(sys.argv[1])); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=registry.MODELS_FOLDER.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_missed_target_is_on_the_page_with_its_distance(tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text(TARGETS)
    targets = read_targets(tmp_path)
    card = replace(registry.card("dermoscopy_7class"), metrics={"ece": 0.03, "refused": {"noise": 0.5}})
    text = figures_page(card, "dermoscopy", folds={"balanced_accuracy": 0.72}, targets=targets)
    assert "| hits | at least 0.75 | 0.72 | missed by 0.03 |" in text
    assert "| calibrated | at most 0.04 | 0.03 | reached |" in text
    assert "| noise | at least 0.95 | 0.50 | missed by 0.45 |" in text
    assert "| more | at least 0.50 |  | not measured |" in text
    assert "Tried: harder." in text


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("least = 0.75", "least = 0.75\nmost = 1.0", "one of least and most"),
        ('of = "card"', 'of = "hearsay"', "not 'hearsay'"),
        ("what", "wat", "unknown key wat"),
    ],
)
def test_a_wrong_target_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    (tmp_path / "targets.toml").write_text(TARGETS.replace(old, new, 1))
    with pytest.raises(ModelError, match=says):
        read_targets(tmp_path)


def test_the_targets_of_the_shipped_models_are_measured() -> None:
    for name in NAMES:
        targets = read_targets(Path(model_pages.__file__).parent / registry.folder(name).name)
        folds = model_pages.cross_validation(model_pages.PAGES / name, registry.card(name))
        for target in targets.targets if targets is not None else ():
            assert measured_value(target, registry.card(name).metrics, folds) is not None, target
