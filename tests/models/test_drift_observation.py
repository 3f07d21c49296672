"""Observations for drift detection."""

from dataclasses import replace

import numpy as np

from core.concepts.private_codes import MALIGNANCY
from core.policy.drift import EDGES
from core.records import Finding, Prediction
from core.states import Outcome
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models.card import parse_card, read_card
from models.card_writer import render_card
from models.drift_observation import observe, reference_counts
from models.registry import folder

PHOTO = Photograph(np.full((300, 400, 3), (200, 120, 100), np.uint8), "1.2", 40.0, "F", "back", None, ())
VOLUME = Volume(np.full((20, 64, 64), -700, np.int16), np.eye(4), (2.5, 0.7, 0.7), ("1",) * 20, (1,) * 20, "", ())
SKIN = Prediction(Outcome.FINDINGS, probabilities={"mel": 0.3, "nv": 0.7})


def told(item: Photograph | Volume | None, prediction: Prediction) -> dict[str, float]:
    return {one.quantity: round(one.value, 3) for one in observe(item, prediction)}


def test_observations_of_a_photograph_and_its_probabilities() -> None:
    found = told(PHOTO, SKIN)
    assert found == {"brightness": 140.0, "contrast": 0.0, "redness": 90.0, "outcome": 0.0, "probability:mel": 0.3, "probability:nv": 0.7}


def test_observations_of_a_volume_and_its_scores() -> None:
    nodule = Finding("nodule", MALIGNANCY, score=0.8)
    found = told(VOLUME, Prediction(Outcome.FINDINGS, (nodule,)))
    assert found["mean_hu"] == -700.0
    assert (found["slice_distance_mm"], found["slices"], found["findings"], found["score"]) == (2.5, 20.0, 1.0, 0.8)


def test_without_an_answer_there_is_no_score() -> None:
    assert told(None, Prediction(Outcome.NOT_ANALYSED)) == {"outcome": 1.0}
    assert "probability:mel" not in told(PHOTO, replace(SKIN, outcome=Outcome.ABSTAINED))


def test_a_reference_survives_writing_and_reading_the_card() -> None:
    counts = reference_counts([(PHOTO, SKIN)] * 3)
    assert sum(counts["probability:nv"]) == 3
    assert all(len(bins) == len(EDGES[name.partition(":")[0]]) + 1 for name, bins in counts.items())
    card = read_card(folder("dermoscopy_7class") / "card.toml")
    kept = replace(card, reference={name: tuple(map(float, bins)) for name, bins in counts.items()})
    assert parse_card(render_card(kept)) == kept
