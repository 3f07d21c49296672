"""dermoscopy_7class: the answer's shape, abstention, determinism, its quality on real images, and its training."""

import io
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from safetensors.torch import load_file

from core.codes import DERMOSCOPY, MALIGNANCY
from core.errors import ModelError
from core.records import Prediction
from core.states import Outcome, Tier
from imaging.photograph import Photograph
from models import registry, runtime, training
from models.card import read_card
from models.dermoscopy import data as ham
from models.dermoscopy.measure import auc
from models.dermoscopy.postprocess import decide
from models.dermoscopy.preprocess import prepare
from models.dermoscopy.train import train
from models.runtime import Model

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def model() -> Model:
    return runtime.load(NAME, device="cpu")


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with dermoscopy/index.csv; never part of the repository."""
    root = Path(os.environ.get("DICOM_NODE_DATA") or registry.ROOMS.parent.parent / "shared" / "data")
    if not (root / "dermoscopy" / "index.csv").is_file():
        message = f"no HAM10000 in {root}: set DICOM_NODE_DATA to the data folder"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return root


def photograph(rgb: np.ndarray, uid: str = "2.25.1") -> Photograph:
    return Photograph(rgb=rgb, sop_instance_uid=uid, age_years=None, sex="", site="", pixel_spacing_mm=None, notes=())


def skin(seed: int, height: int = 450, width: int = 600) -> np.ndarray:
    """A brown spot on pink skin with some texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((((y - height / 2) / (height / 5)) ** 2 + ((x - width / 2) / (width / 6)) ** 2) ** 2))
    rough = rng.normal(0, 12, (height, width)) * (0.3 + spot)
    colour = np.array([215.0, 160.0, 150.0]) - spot[..., None] * np.array([110.0, 105.0, 100.0]) + rough[..., None]
    image = Image.fromarray(colour.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    return np.asarray(image)


def test_the_card_speaks_the_declared_codes() -> None:
    card = registry.card(NAME)
    assert {label.name: label.code for label in card.labels} == DERMOSCOPY
    assert tuple(label.name for label in card.labels) == ham.CLASSES
    assert {label.name for label in card.labels if label.malignant} == {"mel", "bcc", "akiec"}
    assert all(label.advice for label in card.labels)
    assert "NC" in card.licence
    assert card.metrics["balanced_accuracy"] > 0.5
    assert card.metrics["n"] > 1000


def test_an_answer_holds_everything_a_report_needs(model: Model) -> None:
    (answer,) = model.predict([photograph(skin(1), "2.25.77")])
    assert answer.outcome is Outcome.FINDINGS
    assert set(answer.probabilities) == set(ham.CLASSES)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    (finding,) = answer.findings
    assert finding.probability == max(answer.probabilities.values()) == answer.probabilities[finding.label]
    assert finding.code == DERMOSCOPY[finding.label]
    assert finding.sop_instance_uid == "2.25.77"
    (measured,) = finding.measurements
    assert measured.name == MALIGNANCY
    assert measured.unit.scheme == "UCUM"
    assert measured.value == pytest.approx(sum(answer.probabilities[name] for name in ("mel", "bcc", "akiec")))
    assert model.card.label(finding.label).advice in answer.notes
    assert answer.looked_for == model.card.looked_for != ""


@pytest.mark.parametrize(
    ("rgb", "says"),
    [
        (skin(2, 40, 600), "shorter side has 40 pixels"),
        (np.full((450, 600, 3), (210, 160, 150), np.uint8), "nearly uniform"),
        (np.zeros((450, 600, 3), np.uint8), "nearly uniform"),
        (skin(3).mean(axis=2, keepdims=True).repeat(3, axis=2).astype(np.uint8), "nearly grey"),
    ],
)
def test_an_unusable_image_is_not_judged(model: Model, rgb: np.ndarray, says: str) -> None:
    good, bad = photograph(skin(4)), photograph(rgb)
    first, middle, last = model.predict([good, bad, good])
    assert middle.outcome is Outcome.ABSTAINED
    assert says in middle.reason
    assert middle.findings == ()
    assert first.outcome is last.outcome is Outcome.FINDINGS


def test_nothing_in_nothing_out(model: Model) -> None:
    assert model.predict([]) == []


def test_bit_for_bit_the_same_alone_in_a_batch_and_loaded_again(model: Model) -> None:
    images = [photograph(skin(seed), f"2.25.{seed}") for seed in range(5)]
    together = model.predict(images)
    assert model.predict(images) == together
    assert [model.predict([image])[0] for image in images] == together
    assert runtime.load(NAME, device="cpu").predict(images[::-1]) == together[::-1]


def test_a_benign_answer_is_lowered_while_malignancy_is_likely() -> None:
    card = registry.card(NAME)
    names = [label.name for label in card.labels]
    p = np.zeros(7)
    p[names.index("nv")], p[names.index("mel")] = 0.90, 0.10
    assert decide(card, p).tier is Tier.REVIEW
    p[names.index("nv")], p[names.index("mel")] = 0.99, 0.01
    assert decide(card, p).tier is Tier.HIGH
    p[names.index("nv")], p[names.index("mel")] = 0.10, 0.90
    assert decide(card, p).tier is Tier.HIGH


def test_the_same_view_at_another_resolution_is_the_same_input() -> None:
    large = Image.fromarray(skin(5, 900, 1200))
    small = np.asarray(large.resize((400, 300), Image.Resampling.LANCZOS))
    difference = prepare(np.asarray(large)).astype(int) - prepare(small).astype(int)
    assert np.abs(difference).mean() < 2.0


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, False, True, True])) == 1.0
    assert auc(np.array([0.5, 0.5, 0.5]), np.array([False, True, True])) == 0.5
    assert auc(np.array([0.4, 0.3, 0.2]), np.array([False, True, True])) == 0.0


def held_out(data: Path, count: int) -> list[ham.Row]:
    """``count`` images of every class from lesions that the shipped weights never saw, one image per lesion."""
    rows = ham.read_index(data)
    held = ham.validation_lesions(rows, int(registry.card(NAME).training["seed"]))
    chosen, seen, taken = [], set(), Counter[str]()
    for row in rows:
        if row.lesion_id in held and row.lesion_id not in seen and taken[row.dx] < count:
            chosen.append(row)
            seen.add(row.lesion_id)
            taken[row.dx] += 1
    return chosen


def test_unseen_real_images_are_told_apart(model: Model, data: Path) -> None:
    rows = held_out(data, 10)
    assert len(rows) == 70
    jpegs = ham.read_jpegs(data, rows)
    images = [photograph(np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB"))) for row in rows]
    answers: list[Prediction] = model.predict(images)
    assert all(answer.outcome is Outcome.FINDINGS for answer in answers)
    right = [answer.findings[0].label == row.dx for answer, row in zip(answers, rows, strict=True)]
    assert sum(right) / len(right) > 0.4  # ten of every class: this is the balanced accuracy; chance is 0.14
    malignant = np.array([row.dx in {"mel", "bcc", "akiec"} for row in rows])
    danger = np.array([answer.findings[0].measurements[0].value for answer in answers])
    assert auc(danger, malignant) > 0.75


def test_no_lesion_is_on_both_sides_and_every_class_is_held_out(data: Path) -> None:
    rows = ham.read_index(data)
    held = ham.validation_lesions(rows, 20)
    assert held == ham.validation_lesions(rows[::-1], 20)
    assert held != ham.validation_lesions(rows, 21)
    lesions = {row.lesion_id: row.dx for row in rows}
    shares = Counter(dx for lesion, dx in lesions.items() if lesion in held)
    for dx, total in Counter(lesions.values()).items():
        assert shares[dx] / total == pytest.approx(ham.VALIDATION_SHARE, abs=0.01)


class PulledPlug(Exception):
    """What stops the training in the middle."""


def test_an_interrupted_training_resumes_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    said: list[str] = []

    def pull_the_plug(line: str) -> None:
        if line.startswith("epoch 1/2"):
            raise PulledPlug

    def run(out: Path, progress: Callable[[str], None]) -> None:
        train(data, out, seed=4, epochs=2, progress=progress, limit_per_class=14)

    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run(straight, said.append)
    assert [line.split(" loss")[0] for line in said if line.startswith("epoch")] == ["epoch 1/2", "epoch 2/2"]
    card = read_card(straight / "card.toml")
    assert registry.verify_folder(straight) == straight / "weights.safetensors"
    assert card.training["seed"] == 4
    assert card.metrics["n"] < 30
    assert (straight / "metrics.json").is_file()

    with pytest.raises(PulledPlug):
        run(broken, pull_the_plug)
    assert not (broken / "weights.safetensors").exists()
    run(broken, said.append)
    assert "going on after epoch 1" in said
    first, second = (load_file(folder / "weights.safetensors") for folder in (straight, broken))
    assert all(first[key].equal(second[key]) for key in first)

    with pytest.raises(ModelError, match="another recipe"):
        train(data, broken, seed=5, epochs=2, limit_per_class=14)


def test_training_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no .*index\.csv.*DICOM_NODE_DATA"):
        train(tmp_path, tmp_path / "out")
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        training.train(NAME, tmp_path, tmp_path / "other")
    with pytest.raises(ModelError, match=r"no .*index\.csv"):
        training.evaluate(NAME, tmp_path)
