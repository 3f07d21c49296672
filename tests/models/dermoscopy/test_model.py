"""dermoscopy_7class: predictions, refusals, determinism, quality on real images."""

import io
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.concepts.codes import AREA, DERMOSCOPY, MILLIMETER, PERIMETER, PIXELS, SQUARE_MILLIMETER
from core.concepts.private_codes import MALIGNANCY
from core.errors import ModelError
from core.records import Prediction
from core.states import Outcome, Tier
from deploy.demo.synthetic.lesion import make_lesion
from imaging.masks import expand_mask
from imaging.photograph.read import Photograph
from models import registry, runtime
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.postprocess import lesion_prediction, top_class
from models.dermoscopy.preprocess import common_square
from models.runtime import Model
from tests.support.real_data import shared_data
from training import drawn_pictures
from training.classifier_metrics import auc
from training.dermoscopy.ham10000 import data as ham
from training.dermoscopy.ham10000 import split

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def model() -> Model:
    return runtime.load(NAME, device="cpu")


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with dermoscopy/index.csv; never part of the repository."""
    return shared_data("dermoscopy/index.csv")


def photograph(rgb: np.ndarray, uid: str = "2.25.1") -> Photograph:
    return Photograph(rgb=rgb, sop_instance_uid=uid, age_years=None, sex="", site="", pixel_spacing_mm=None, notes=())


def skin(seed: int, height: int = 450, width: int = 600) -> np.ndarray:
    """A drawn lesion, which the model takes for dermoscopy."""
    return np.asarray(Image.open(io.BytesIO(make_lesion(seed, size=(height, width)).jpeg)))


def test_the_card_has_the_declared_codes() -> None:
    card = registry.card(NAME)
    assert {label.name: label.code for label in card.labels} == DERMOSCOPY
    assert tuple(label.name for label in card.labels) == ham.CLASSES
    assert {label.name for label in card.labels if label.malignant} == {"mel", "bcc", "akiec"}
    assert all(label.advice for label in card.labels)
    assert "NC" in card.licence
    assert card.metrics["balanced_accuracy"] > 0.5


def test_the_metrics_of_the_card_are_of_all_images_of_no_training(data: Path) -> None:
    card = registry.card(NAME)
    rows = ham.read_index(data)
    unseen = split.unseen(rows, card.training)
    assert card.metrics["n"] == sum(row.lesion_id in unseen for row in rows)
    assert card.metrics["lesions"] == len(unseen)


def test_a_prediction_has_everything_a_report_needs(model: Model) -> None:
    (answer,) = model.predict([photograph(skin(1), "2.25.77")])
    assert answer.outcome is Outcome.FINDINGS
    assert set(answer.probabilities) == set(ham.CLASSES)
    assert sum(answer.probabilities.values()) == pytest.approx(1.0)
    (finding,) = answer.findings
    assert finding.probability == max(answer.probabilities.values()) == answer.probabilities[finding.label]
    assert finding.code == DERMOSCOPY[finding.label]
    assert finding.sop_instance_uid == "2.25.77"
    measured, area, border = finding.measurements
    assert measured.name == MALIGNANCY
    assert (area.name, area.unit, border.name, border.unit) == (AREA, PIXELS, PERIMETER, PIXELS)
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
def test_an_unusable_image_is_refused(model: Model, rgb: np.ndarray, says: str) -> None:
    good, bad = photograph(skin(4)), photograph(rgb)
    first, middle, last = model.predict([good, bad, good])
    assert middle.outcome is Outcome.ABSTAINED
    assert says in middle.reason
    assert middle.findings == ()
    assert first.outcome is last.outcome is Outcome.FINDINGS


def test_a_card_of_the_first_version_is_refused_with_the_reason(model: Model) -> None:
    old = replace(model.card, version="0.1.0", network=dict(next(iter(model.card.network["members"].values()))))
    with pytest.raises(ModelError, match="the card is of a version before"):
        DermoscopyClassifier(old, model.identity, registry.verify_weights(registry.folder(NAME)), "cpu")


def test_no_images_give_no_predictions(model: Model) -> None:
    assert model.predict([]) == []


def test_bit_for_bit_the_same_alone_in_a_batch_and_loaded_again(model: Model) -> None:
    images = [photograph(skin(seed), f"2.25.{seed}") for seed in range(3)]
    together = model.predict(images)
    assert model.predict(images) == together
    assert [model.predict([image])[0] for image in images] == together
    assert runtime.load(NAME, device="cpu").predict(images[::-1]) == together[::-1]


def test_a_benign_answer_is_lowered_while_malignancy_is_likely() -> None:
    card = registry.card(NAME)
    names = [label.name for label in card.labels]
    p = np.zeros(7)
    p[names.index("nv")], p[names.index("mel")] = 0.90, 0.10
    assert top_class(card, p).tier is Tier.REVIEW
    p[names.index("nv")], p[names.index("mel")] = 0.99, 0.01
    assert top_class(card, p).tier is Tier.HIGH
    p[names.index("nv")], p[names.index("mel")] = 0.10, 0.90
    assert top_class(card, p).tier is Tier.HIGH


def test_the_same_view_at_another_resolution_is_the_same_input() -> None:
    large = Image.fromarray(skin(5, 900, 1200))
    small = np.asarray(large.resize((400, 300), Image.Resampling.LANCZOS))
    difference = common_square(np.asarray(large)).astype(int) - common_square(small).astype(int)
    assert np.abs(difference).mean() < 2.0
    assert common_square(skin(5, 90, 120)).shape == (150, 150, 3)


@pytest.mark.parametrize("kind", drawn_pictures.KINDS)
def test_pictures_that_are_no_dermoscopy_are_refused(model: Model, kind: str) -> None:
    answers = model.predict([photograph(drawn_pictures.draw_picture(kind, seed)) for seed in range(1000, 1020)])
    refused = [answer for answer in answers if answer.outcome is Outcome.ABSTAINED]
    assert len(refused) >= 19
    assert all(answer.reason and not answer.probabilities for answer in refused)


def test_plain_skin_is_refused_where_no_lesion_is_outlined(model: Model) -> None:
    weights, far = registry.verify_weights(registry.folder(NAME)), {**model.card.thresholds, "max_distance": 1e9}
    plain = [photograph(drawn_pictures.draw_picture("plain_skin", seed)) for seed in range(1000, 1010)]
    reasons = {}
    for limit in (0.0, 0.95):
        card = replace(model.card, thresholds={**far, "min_outline": limit})
        *answers, lesion = DermoscopyClassifier(card, model.identity, weights, "cpu").predict([*plain, photograph(skin(4))])
        assert lesion.outcome is Outcome.FINDINGS
        reasons[limit] = [answer.reason for answer in answers]
    assert reasons[0.0] == [""] * 10  # by their distance alone they would be answered
    refused = [reason for reason in reasons[0.95] if reason]
    assert len(refused) >= 2
    assert all("no lesion was found" in reason and "0.95 is needed" in reason for reason in refused)


def test_facts_of_the_patient_change_the_answer_and_may_be_unknown(model: Model) -> None:
    bare = photograph(skin(6))
    old = replace(bare, age_years=80.0, sex="M", site="face")
    young = replace(bare, age_years=15.0, sex="F", site="trunk")
    unknown, first, second = (answer.probabilities for answer in model.predict([bare, old, young]))
    assert unknown != first != second
    assert first["nv"] < second["nv"]
    odd = replace(bare, age_years=-3.0, sex="O", site="nowhere")
    assert model.predict([odd])[0].outcome is Outcome.FINDINGS


def test_the_outline_is_measured_in_pixels_or_in_known_millimetres(model: Model) -> None:
    bare, scaled = model.predict([photograph(skin(6)), replace(photograph(skin(6)), pixel_spacing_mm=(0.05, 0.05))])
    (said,) = [note for note in bare.notes if note.startswith("Outline")]
    assert "pixels" in said
    assert "mm" not in said
    assert any("mm²" in note for note in scaled.notes)
    mask = bare.findings[0].mask
    assert mask is not None
    assert mask == scaled.findings[0].mask
    whole = expand_mask(mask, (1, 450, 600))[0]
    assert not whole[:, :75].any()  # beside the centre square nothing was seen
    (_, area, border), (_, area_mm2, border_mm) = (answer.findings[0].measurements for answer in (bare, scaled))
    assert area.value == whole.sum()
    assert (area_mm2.unit, border_mm.unit) == (SQUARE_MILLIMETER, MILLIMETER)
    assert area_mm2.value == pytest.approx(area.value * 0.0025)
    assert border_mm.value == pytest.approx(border.value * 0.05)


def test_without_an_outline_there_is_no_mask_and_no_measure() -> None:
    answer = lesion_prediction(registry.card(NAME), np.eye(7)[4], photograph(skin(6)), np.zeros((450, 600), bool))
    assert answer.findings[0].mask is None
    assert [one.name for one in answer.findings[0].measurements] == [MALIGNANCY]
    assert "No outline of a lesion could be drawn." in answer.notes


def held_out(data: Path, count: int) -> list[ham.HamImage]:
    """``count`` images of every class from lesions that the shipped weights never saw, one image per lesion."""
    rows = ham.read_index(data)
    held = split.unseen(rows, registry.card(NAME).training)
    chosen, seen, taken = [], set(), Counter[str]()
    for row in rows:
        if row.lesion_id in held and row.lesion_id not in seen and taken[row.dx] < count:
            chosen.append(row)
            seen.add(row.lesion_id)
            taken[row.dx] += 1
    return chosen


def test_unseen_real_images_are_classified_better_than_by_chance(model: Model, data: Path) -> None:
    rows = held_out(data, 5)
    assert len(rows) == 35
    jpegs = ham.read_jpegs(data, rows)
    images = [photograph(np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB"))) for row in rows]
    answers: list[Prediction] = model.predict(images)
    judged = [(answer, row) for answer, row in zip(answers, rows, strict=True) if answer.outcome is Outcome.FINDINGS]
    assert len(judged) >= 31  # rare classes look rarer: fewer than these are refused of all held-out images
    right = [answer.findings[0].label == row.dx for answer, row in judged]
    assert sum(right) / len(right) > 0.4  # five of every class: this is the balanced accuracy; chance is 0.14
    malignant = np.array([row.dx in {"mel", "bcc", "akiec"} for _, row in judged])
    danger = np.array([answer.findings[0].measurements[0].value for answer, _ in judged])
    assert auc(danger, malignant) > 0.75
