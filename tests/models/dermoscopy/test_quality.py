"""dermoscopy_7class: blurred and badly exposed images are refused; skin tone around a lesion."""

import io
import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from core.states import Outcome
from imaging.photograph.read import Photograph
from models import registry, runtime
from models.dermoscopy.preprocess import common_square
from models.dermoscopy.quality import check_quality, measure_quality
from models.runtime import Model
from tests.support.real_data import shared_data
from training.dermoscopy.ham10000 import data as ham
from training.dermoscopy.ham10000 import split
from training.dermoscopy.measure.quality_limits import quality_limits
from training.dermoscopy.measure.skin_tone import srgb_to_lab, tone, typology_angle

NAME = "dermoscopy_7class"


@pytest.fixture(scope="module")
def real() -> list[np.ndarray]:
    """Twenty-four real photographs (Y, X, 3) of lesions that the training held out."""
    root = shared_data("dermoscopy/index.csv")
    rows = ham.read_index(root)
    held = split.unseen(rows, registry.card(NAME).training)
    unseen = [row for row in rows if row.lesion_id in held]
    chosen = unseen[:: len(unseen) // 24][:24]
    jpegs = ham.read_jpegs(root, chosen)
    return [np.asarray(Image.open(io.BytesIO(jpegs[row.image_id])).convert("RGB")) for row in chosen]


@pytest.fixture(scope="module")
def model() -> Model:
    return runtime.load(NAME, device="cpu")


def asked(model: Model, images: list[np.ndarray]) -> list[str]:
    """The reason of every refusal, "" of what was answered."""
    answers = model.predict([Photograph(rgb, "", None, "", "", None, ()) for rgb in images])
    assert all((answer.outcome is Outcome.ABSTAINED) == bool(answer.reason) for answer in answers)
    return [answer.reason for answer in answers]


def blurred(rgb: np.ndarray, share: float) -> np.ndarray:
    """Out of focus by ``share`` of the image's shorter side (standard deviation)."""
    return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(share * min(rgb.shape[:2]))))


def exposed(rgb: np.ndarray, gain: float) -> np.ndarray:
    return np.clip(rgb.astype(np.float32) * gain, 0, 255).astype(np.uint8)


def test_almost_all_real_images_get_an_answer(model: Model, real: list[np.ndarray]) -> None:
    assert sum(map(bool, asked(model, real))) <= 2


@pytest.mark.parametrize("share", [0.012, 0.03])
def test_a_blurred_image_is_refused_with_the_reason(model: Model, real: list[np.ndarray], share: float) -> None:
    reasons = asked(model, [blurred(rgb, share) for rgb in real])
    assert sum("too blurred" in reason for reason in reasons) >= 23


def test_an_over_exposed_image_is_refused_with_the_reason(model: Model, real: list[np.ndarray]) -> None:
    reasons = asked(model, [exposed(rgb, 2.5) for rgb in real])
    assert sum("over-exposed" in reason for reason in reasons) >= 22
    assert all(reasons)


def test_an_under_exposed_image_is_refused_with_the_reason(model: Model, real: list[np.ndarray]) -> None:
    reasons = asked(model, [exposed(rgb, 0.2) for rgb in real])
    assert sum("under-exposed" in reason for reason in reasons) >= 20


def test_sharpness_does_not_depend_on_contrast_and_falls_with_blur() -> None:
    rng = np.random.default_rng(1)
    sharp = rng.normal(128, 40, (150, 150, 1)).clip(0, 255).repeat(3, axis=2).astype(np.uint8)
    faint = ((sharp.astype(float) - 128) / 2 + 128).astype(np.uint8)
    assert measure_quality(faint).sharpness == pytest.approx(measure_quality(sharp).sharpness, rel=0.05)
    found = [measure_quality(blurred(sharp, sigma / 150)).sharpness for sigma in (0.5, 1.0, 2.0)]
    assert measure_quality(sharp).sharpness > found[0] > found[1] > found[2]
    assert measure_quality(np.full((150, 150, 3), 99, np.uint8)).sharpness == 0.0


def test_a_small_image_is_not_refused_as_blurred(model: Model, real: list[np.ndarray]) -> None:
    small = [np.asarray(Image.fromarray(rgb).resize((100, 75), Image.Resampling.LANCZOS)) for rgb in real[::2]]
    assert sum("blurred" in reason for reason in asked(model, small)) <= 1


def test_limits_set_from_images_accept_these_images(real: list[np.ndarray]) -> None:
    squares = [common_square(rgb) for rgb in real]
    limits = quality_limits(squares)
    assert sum(bool(check_quality(measure_quality(square), limits)) for square in squares) <= 1
    assert check_quality(measure_quality(squares[0]), {}) == ""  # a card of before 0.3.0 has no such limits


def test_lab_of_known_colours() -> None:
    """White, black, and pure red, green and blue (IEC 61966-2-1 under D65)."""
    given = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.float64)
    wanted = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(srgb_to_lab(given), wanted, atol=0.05)


def test_the_angle_is_measured_on_the_skin_without_the_lesion() -> None:
    lesion = np.zeros((150, 150), bool)
    lesion[50:100, 50:100] = True
    for colour in ((225, 190, 165), (150, 105, 80), (80, 55, 42)):
        square = np.full((150, 150, 3), colour, np.uint8)
        lightness, _, yellow = srgb_to_lab(np.array([colour], np.float64))[0]
        expected = math.degrees(math.atan((lightness - 50) / yellow))
        square[lesion] = (60, 30, 30)
        square[:12, :12] = 0  # a dark corner
        assert typology_angle(square, lesion) == pytest.approx(expected, abs=0.01)
    assert math.isnan(typology_angle(square, np.ones((150, 150), bool)))


@pytest.mark.parametrize(
    ("angle", "band"),
    [(60, "very light"), (55, "light"), (41, "intermediate"), (28, "tan"), (10, "brown"), (-30, "dark"), (math.nan, "unknown")],
)
def test_bands_of_the_angle(angle: float, band: str) -> None:
    assert tone(angle) == band
