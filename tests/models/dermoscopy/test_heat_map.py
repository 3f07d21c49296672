"""dermoscopy_7class: evidence map and outline of the lesion."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.demo.synthetic.lesion import make_lesion
from imaging.ndimage import ndimage
from imaging.photograph.read import Photograph
from models import registry
from models.card import identity, read_card
from models.dermoscopy.model import DermoscopyClassifier
from models.dermoscopy.outline import outline_on_image
from models.dermoscopy.preprocess import centre_square
from tests.support.real_data import shared_data
from training.dermoscopy.ham10000 import data as ham
from training.dermoscopy.ham10000 import split
from training.dermoscopy.measure.held_out_table import dice

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def model() -> DermoscopyClassifier:
    room = registry.folder(NAME)
    card = read_card(room / "card.toml")
    return DermoscopyClassifier(card, identity(card, registry.pipeline_digest(NAME)), room / card.weights, "cpu")


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with dermoscopy/index.csv; never part of the repository."""
    return shared_data("dermoscopy/index.csv")


def photograph(rgb: np.ndarray, spacing_mm: tuple[float, float] | None = None) -> Photograph:
    return Photograph(rgb, "2.25.1", None, "", "", spacing_mm, ())


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
    lesion = make_lesion(seed, size=(300, 420))
    return np.asarray(Image.open(io.BytesIO(lesion.jpeg))), lesion.mask


def test_the_evidence_map_is_between_0_and_1_and_reproducible(model: DermoscopyClassifier) -> None:
    rgb, _ = drawn(1)
    heat = model.evidence_map(photograph(rgb))
    assert heat.shape == rgb.shape[:2]
    assert heat.dtype == np.float32
    assert (heat.min(), heat.max()) == (0.0, 1.0)
    assert not heat[:, :60].any()  # beside the centre square nothing was seen
    assert np.array_equal(heat, model.evidence_map(photograph(rgb)))
    upright = np.ascontiguousarray(rgb.transpose(1, 0, 2))
    assert model.evidence_map(photograph(upright)).shape == upright.shape[:2]


def test_computing_the_evidence_map_does_not_change_predictions(model: DermoscopyClassifier) -> None:
    image = photograph(drawn(2)[0])
    before = model.predict([image])
    model.evidence_map(image)
    model.outline(image)
    assert model.predict([image]) == before


def test_the_outline_of_a_drawn_lesion_is_found(model: DermoscopyClassifier) -> None:
    found = []
    for seed in range(6):
        rgb, truth = drawn(seed)
        mask = model.outline(photograph(rgb))
        assert mask.shape == truth.shape
        assert mask.dtype == np.bool_
        found.append(float(dice(mask[None], truth[None])[0]))
    assert np.median(found) > 0.8, found


def test_an_outline_is_one_component_without_holes_on_any_grid() -> None:
    y, x = np.mgrid[-1:1:150j, -1:1:150j]
    ring = np.where((np.hypot(x, y) < 0.5) & (np.hypot(x, y) > 0.2), 2.0, -2.0)
    ring[5:9, 5:9] = 3.0  # a second, smaller part
    for shape in ((450, 600), (150, 150), (90, 64)):
        mask = outline_on_image(ring.astype(np.float32), shape)
        side = min(shape)
        assert mask.shape == shape
        assert ndimage.label(mask)[1] == 1
        assert ndimage.label(~np.pad(mask, 1))[1] == 1
        assert mask.sum() == pytest.approx(np.pi * (0.25 * side) ** 2, rel=0.05)


def test_real_lesions_are_outlined_and_contain_the_evidence(model: DermoscopyClassifier, data: Path) -> None:
    rows = ham.read_index(data)
    held = split.unseen(rows, model.card.training)
    chosen = [row for row in rows if row.lesion_id in held and row.archive == ham.COARSE_ARCHIVE][:6]
    jpegs = ham.read_jpegs(data, chosen)
    pngs = ham.read_files(data, (ham.MASKS_ARCHIVE,), {row.image_id for row in chosen})
    overlap, lift = [], []
    for row in chosen:
        rgb = centre_square(np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB")))
        truth, image = ham.decode_mask(pngs[row.image_id]), photograph(rgb)
        overlap.append(float(dice(model.outline(image)[None], truth[None])[0]))
        heat = model.evidence_map(image)
        if heat.any():
            lift.append(float(heat[truth].sum() / heat.sum() / truth.mean()))  # 1: no more than its share of the area
    assert np.median(overlap) > 0.85, overlap
    assert np.median(lift) > 1.1, lift
