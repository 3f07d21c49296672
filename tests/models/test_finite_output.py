"""A value that is no number is an error, whatever the model: never a result without a finding, a finding, a mask or a picture."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.concepts.codes import DIAMETER, MILLIMETER
from core.errors import NonFiniteOutput
from core.records import Code, Finding, Measurement, Prediction
from core.states import Outcome
from deploy.demo.synthetic.chest import make_chest
from deploy.demo.synthetic.lesion import make_lesion
from imaging.masks import pack_heat_map
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models import registry, runtime
from models.classifier.heat_map import scale_to_unit
from models.finite_prediction import require_finite_prediction
from models.lung_histology_ct.model import HistologyClassifier
from tests.support.model_packages import version_with_nan

LUNG, SKIN, HISTOLOGY = "lung_nodule_ct", "dermoscopy_7class", "lung_histology_ct"


def chest() -> Volume:
    """A small drawn chest with two nodules."""
    made = make_chest(7, slices=18, size=64, slice_mm=5.0, pixel_mm=3.2, diameters_mm=(12.0, 20.0))
    dz, dy, dx = made.spacing_mm
    uids = tuple(f"2.25.{i + 1}" for i in range(len(made.hu)))
    return Volume(made.hu, np.diag([dx, dy, dz, 1.0]), made.spacing_mm, uids, (1,) * len(uids), "2.25.99", ())


def lesion() -> Photograph:
    return Photograph(np.asarray(Image.open(io.BytesIO(make_lesion(1, size=(300, 420)).jpeg))), "2.25.1", None, "", "", None, ())


@pytest.mark.parametrize(
    ("name", "damaged", "item"),
    [
        (LUNG, "first.*.weight", chest),
        (LUNG, "second.final.1.weight", chest),
        (SKIN, "members.*.fc.1.weight", lesion),
        (SKIN, "members.*.outline.last.bias", lesion),
    ],
)
def test_damaged_weights_of_a_shipped_model_give_no_result(name: str, damaged: str, item: Callable[[], Any], tmp_path: Path) -> None:
    folder = version_with_nan(name, tmp_path / "version", damaged)
    model = runtime.load_folder(folder, device="cpu", package=registry.folder(name).name)
    with pytest.raises(NonFiniteOutput, match=r"output holds values that are no numbers.*worker\.device = cpu"):
        model.predict([item()])


def test_damaged_weights_of_the_histology_give_no_result(tmp_path: Path) -> None:
    folder = version_with_nan(HISTOLOGY, tmp_path / "version", "nets.*.kind.fc.1.weight")
    model = runtime.load_folder(folder, device="cpu", package=HISTOLOGY)
    assert isinstance(model, HistologyClassifier)
    with pytest.raises(NonFiniteOutput, match=r"lung_histology_ct 9\.9\.9: the networks' output"):
        model.run_networks(np.zeros((1, 2, 96, 128), np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_with_a_value_that_is_no_number_is_no_picture(value: float) -> None:
    heat = np.full((2, 3, 4), 0.5, np.float32)
    heat[1, 2, 3] = value
    with pytest.raises(NonFiniteOutput, match="the heat map holds"):
        pack_heat_map(heat, meaning="test")
    with pytest.raises(NonFiniteOutput, match="the map of the evidence holds"):
        scale_to_unit(heat)


FINDING = Finding(
    label="nodule",
    code=Code("27925004", "SCT", "Nodule"),
    probability=0.5,
    score=0.5,
    position_mm=(1.0, 2.0, 3.0),
    diameter_mm=4.0,
    image_point=(5.0, 6.0),
    measurements=(Measurement(DIAMETER, 4.0, MILLIMETER),),
)
NAN = float("nan")


@pytest.mark.parametrize(
    "change",
    [
        {"probability": NAN},
        {"score": float("inf")},
        {"diameter_mm": NAN},
        {"position_mm": (1.0, 2.0, NAN)},
        {"image_point": (NAN, 6.0)},
        {"measurements": (Measurement(DIAMETER, NAN, MILLIMETER),)},
    ],
)
def test_a_finding_with_a_value_that_is_no_number_is_none(change: dict[str, Any]) -> None:
    card = registry.card(LUNG)
    whole = Prediction(Outcome.FINDINGS, (FINDING,), {"nodule": 0.5})
    assert require_finite_prediction(whole, card) is whole
    assert require_finite_prediction(Prediction(Outcome.NO_FINDING), card).findings == ()
    with pytest.raises(NonFiniteOutput, match=f"{LUNG} {card.version}: the prediction holds values that are no numbers"):
        require_finite_prediction(replace(whole, findings=(FINDING, replace(FINDING, **change))), card)
    with pytest.raises(NonFiniteOutput):
        require_finite_prediction(replace(whole, probabilities={"nodule": NAN}), card)
