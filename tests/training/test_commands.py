"""``models evaluate --out``: metrics with intervals and plots, through the code path that serves."""

import hashlib
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.cli.main import run
from imaging.photograph.read import Photograph
from models import registry, runtime
from tests.support.ham10000_like import CLASSES, make_ham10000_like
from training import extra, held_out, plots, worst_answers
from training.classifier_answers import ClassifierAnswers
from training.dermoscopy.ham10000 import split
from training.dermoscopy.ham10000.data import read_index
from training.dermoscopy.held_out import batches
from training.pages import model_pages

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ham10000_like(tmp_path_factory.mktemp("data"))


def test_held_out_answers_cover_all_images_and_are_grouped_by_lesion(data: Path) -> None:
    model = runtime.load(NAME, device="cpu")
    found = held_out.held_out_answers(model, batches(model, data), progress=lambda _: None)
    rows = read_index(data)
    held = split.unseen(rows, model.card.training)
    assert set(found.groups) <= held
    assert len(found.labels) + found.abstained == sum(row.lesion_id in held for row in rows)
    assert found.names == tuple(label.name for label in model.card.labels)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-6)


def test_the_command_writes_figures_and_pictures(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "pictures"
    assert run(["models", "evaluate", NAME, "--data", str(data), "--out", str(out), "--json", str(tmp_path / "figures.json")]) == 0
    assert capsys.readouterr().out == ""
    written = json.loads((tmp_path / "figures.json").read_text())
    assert json.loads((out / model_pages.FIGURES).read_text()) == written
    assert written["weights_sha256"] == registry.card(NAME).weights_sha256
    assert len(written["intervals"]["balanced_accuracy"]) == 3
    assert sum(map(sum, written["confusion"]["rows_truth_columns_model"])) == written["n"]
    for name in ("reliability", "confusion", "roc"):
        with Image.open(out / f"{name}.png") as image:
            assert image.format == "PNG"
            assert min(image.size) > 400
    assert list((out / "failures").glob("*.png")) or written["intervals"]["accuracy"][0] == 1.0
    # the page shows the written plots, but not the failures, which are images of patients
    (tmp_path / NAME).mkdir()
    for path in out.iterdir():
        path.rename(tmp_path / NAME / path.name)
    assert f"({NAME}/roc.png)" in model_pages.render_pages(NAME, tmp_path)[f"{NAME}.md"]


def test_a_version_of_another_model_or_of_a_detector_is_not_measured_in_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a detector the shipped weights were measured, and the figures were written as those of the version that was named."""
    for name, version, said in (
        ("lung_nodule_ct", "lung_nodule_ct", "of lung_nodule_ct this command measures the shipped version alone"),
        (NAME, "lung_nodule_ct", f"holds a version of lung_nodule_ct, not of {NAME}"),
    ):
        folder, out = registry.folder(version), tmp_path / name
        assert run(["models", "evaluate", name, "--data", str(tmp_path), "--out", str(out), "--version", str(folder)]) == 1
        assert said in capsys.readouterr().err
        assert not out.exists()


def test_the_same_answers_give_the_same_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(7), 60)
    malignant = np.array([name in ("akiec", "bcc", "mel") for name in CLASSES])
    labels = rng.integers(0, 7, 60)
    given = ClassifierAnswers(CLASSES, malignant, probabilities, labels, np.array([str(i) for i in range(60)]), 0)
    drawn = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        drawn.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in plots.draw_classifier_plots(given, tmp_path / folder)])
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == 3


def test_training_curves_of_stages_with_missing_epochs(tmp_path: Path) -> None:
    stages = {
        "first": [{"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": 1.5, "held_out_loss": 1.6}],
        "second": [{"epoch": 1.0, "loss": 1.4, "held_out_loss": 1.5}],
    }
    drawn = [plots.draw_training_curves(stages, tmp_path / name).read_bytes() for name in ("a.png", "b.png")]
    assert drawn[0] == drawn[1]
    with Image.open(tmp_path / "a.png") as image:
        assert min(image.size) > 300
    plots.draw_training_curves({"only": []}, tmp_path / "empty.png")  # a training of no epochs is no error


def test_the_wrong_answers_of_highest_probability_are_kept_and_drawn(tmp_path: Path) -> None:
    worst = worst_answers.WorstAnswers()
    assert worst.draw(tmp_path) is None
    for number in range(40):
        rgb = np.full((20, 30, 3), number, np.uint8)
        worst.add(Photograph(rgb, "", None, "", "", None, ()), "mel", "mel" if number % 2 else "nv", number / 40)
    kept = sorted(int(entry[2].rgb[0, 0, 0]) for entry in worst._worst)
    assert kept == list(range(16, 40, 2))
    path = worst.draw(tmp_path)
    assert path == tmp_path / worst_answers.FOLDER / "worst.png"
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_froc_is_drawn_from_rates_only(tmp_path: Path) -> None:
    rates = {"at_1_false_per_scan": 0.5, "at_4_false_per_scan": 0.8, "sensitivity": 0.7}
    assert plots.draw_froc({"same_series": {"one": rates}, "n": 3}, tmp_path / "froc.png") == tmp_path / "froc.png"
    assert list(plots._froc_lines({"same_series": {"one": rates}}, ())) == [("same series / one", [(1.0, 0.5), (4.0, 0.8)])]
    assert plots.draw_froc({"n": 3}, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()


def test_a_missing_training_package_is_named_before_the_work_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extra, "find_spec", lambda module: None if module == "sklearn" else find_spec(module))
    for command in ("train", "evaluate", "crossval"):
        out = [] if command == "evaluate" else ["--out", str(tmp_path / "out")]
        assert run(["models", command, NAME, "--data", str(tmp_path), *out]) == 2
        said = capsys.readouterr().err
        assert f"models {command} needs scikit-learn, which this environment does not have" in said
        assert "requirements/training.txt" in said
    assert not (tmp_path / "out").exists()


def test_matplotlib_is_loaded_by_drawing_alone() -> None:
    imports = "from training import commands, plots, held_out; from training.pages import model_pages"
    code = f"import sys; {imports}; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=registry.MODELS_FOLDER.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
