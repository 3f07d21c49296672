"""The shipped ``lung_nodule_ct`` on slices of the real CPTAC series: inserted nodules are found at their places."""

import os
from pathlib import Path

import numpy as np
import pytest

from core.concepts import codes, private_codes
from core.records import Prediction
from core.states import Outcome
from deploy.demo.synthetic.chest import make_chest
from imaging import masks
from imaging.volume.volume import Volume, read_volume
from models import runtime
from models.classifier.tiers import confidence_tier
from models.ct.lung_field import lung_field
from models.lung_nodule_ct.findings import size_band
from training.lung_nodule_ct.synthesis.synthetic_nodules import NoduleAppearance, SyntheticNodule, insert_nodule
from training.lung_nodule_ct.synthesis.tissue_noise import NoiseBank

SERIES = "cptac-C3N-00247-lung3.0-B70f"
SOLID = NoduleAppearance(tissue_hu=40.0, core_hu=40.0, core_share=0.0, edge_mm=0.6, uneven=0.1, spicules=0)


def real_folder() -> Path:
    """The real series, through $DICOM_NODE_DATA or ../shared/data; absent: an error in CI, a skip elsewhere."""
    root = Path(os.environ.get("DICOM_NODE_DATA") or Path(__file__).parents[4] / "shared" / "data")
    folder = root / "ct" / SERIES
    if not folder.is_dir():
        message = f"{folder} is not there; set DICOM_NODE_DATA to the folder of the public test data"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="module")
def real() -> Volume:
    return read_volume(sorted(real_folder().glob("*.dcm")))


@pytest.fixture(scope="module")
def model() -> runtime.Model:
    return runtime.load("lung_nodule_ct", device="cpu")


def changed(volume: Volume, hu: np.ndarray, **other: object) -> Volume:
    values = {name: getattr(volume, name) for name in Volume.__slots__}
    return Volume(**{**values, "hu": hu, **other})


def part_of(volume: Volume, slices: slice) -> Volume:
    """Some slices of the series, at their places in the patient."""
    affine = volume.affine.copy()
    affine[:3, 3] += slices.start * affine[:3, 2]
    given = {"sop_instance_uids": volume.sop_instance_uids[slices], "frame_numbers": volume.frame_numbers[slices]}
    return changed(volume, volume.hu[slices], affine=affine, **given)


@pytest.fixture(scope="module")
def part(real: Volume) -> Volume:
    """The slices around PLACES: 84 mm, one layer of the network's windows, which takes a quarter of the time of the whole series."""
    return part_of(real, slice(FIRST_SLICE, FIRST_SLICE + 28))


@pytest.fixture(scope="module")
def small() -> Volume:
    """A small chest, which the network takes 4 s for."""
    chest = make_chest(7, slices=18, size=64, slice_mm=5.0, pixel_mm=3.2, diameters_mm=(12.0, 20.0))
    return made_up(chest.hu, chest.spacing_mm)


@pytest.fixture(scope="module")
def small_prediction(small: Volume, model: runtime.Model) -> Prediction:
    return model.predict([small])[0]


def made_up(hu: np.ndarray, spacing: tuple[float, float, float]) -> Volume:
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    uids = tuple(f"2.25.{i + 1}" for i in range(len(hu)))
    return Volume(hu, affine, spacing, uids, (1,) * len(hu), "2.25.99", ())


FIRST_SLICE = 50
PLACES = [(6.0, 260.0, 400.0), (14.0, 280.0, 130.0), (24.0, 250.0, 140.0)]  # free lung of this part, (z, y, x)


@pytest.fixture(scope="module")
def prediction(part: Volume, model: runtime.Model) -> Prediction:
    """The answer to the part of the real series with a clear solid 12 mm nodule at each of PLACES."""
    hu, rng = part.hu.copy(), np.random.default_rng(8)
    noise = NoiseBank(part.hu, part.spacing_mm, rng)
    for place in PLACES:
        assert part.hu[int(place[0]), int(place[1]) - 3 : int(place[1]) + 4, int(place[2])].mean() < -700
        insert_nodule(hu, np.zeros(hu.shape, np.float32), part.spacing_mm, rng, noise, SyntheticNodule(place, 12.0, "solid"), SOLID)
    return model.predict([changed(part, hu)])[0]


def test_the_lung_field_of_the_real_series_is_of_human_size(real: Volume) -> None:
    lungs = lung_field(real.hu, real.spacing_mm)
    assert lungs is not None
    assert 3.5 < lungs.litres < 5.5


def test_three_clear_nodules_are_found_where_they_were_put(part: Volume, prediction: Prediction) -> None:
    assert prediction.outcome is Outcome.FINDINGS
    hits = 0
    for z, y, x in PLACES:
        wanted = part.lps(z, y, x)
        near = [f for f in prediction.findings if f.position_mm and np.linalg.norm(np.subtract(f.position_mm, wanted)) <= 6.0]
        if not near:
            continue
        hits += 1
        assert near[0].sop_instance_uid in {part.sop_instance_uids[int(z) + i] for i in (-1, 0, 1)}
        assert near[0].image_point == pytest.approx((x + 0.5, y + 0.5), abs=6 / part.spacing_mm[1])
        assert near[0].diameter_mm == pytest.approx(12.0, rel=0.35)
    assert hits >= 2
    scores = [f.score or 0.0 for f in prediction.findings]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) <= 20


def test_a_finding_has_probability_codes_and_units_and_its_tier(part: Volume, model: runtime.Model, prediction: Prediction) -> None:
    assert prediction.looked_for == model.card.looked_for
    for finding in prediction.findings:
        assert finding.probability is not None
        assert finding.probability == finding.score
        assert model.card.thresholds["score"] <= finding.probability < 1
        assert finding.tier is confidence_tier(finding.probability, model.card.tiers)
        assert (finding.code.value, finding.code.scheme) == ("27925004", "SCT")
        assert finding.site is not None
        own = finding.measurements[:4]  # the distance to the pleura follows, where the finding lies in a lung
        assert [m.name.value for m in own] == ["81827009", "103339001", "103340004", "118565006"]
        assert [m.unit.value for m in own] == ["mm", "mm", "mm", "mm3"]
        assert [m.name for m in finding.measurements[4:]] in ([], [private_codes.PLEURA_DISTANCE])
        assert finding.position_mm is not None
        z, y, x = part.index(finding.position_mm)
        assert part.sop_instance_uids[round(z)] == finding.sop_instance_uid
        assert finding.frame == part.frame_numbers[round(z)]
        assert finding.image_point == pytest.approx((x + 0.5, y + 0.5))
        _, long_axis, short_axis, _ = (m.value for m in own)
        assert 1.0 <= short_axis <= long_axis
        assert [e.name for e in finding.evaluations[:2]] == [private_codes.DENSITY, private_codes.SIZE_BAND]
        *category, margin, suspicion = (e.name for e in finding.evaluations[2:])
        assert category in ([], [private_codes.LUNG_RADS])
        assert (margin, suspicion) == (codes.MARGINS, private_codes.SUSPICION)
        assert finding.evaluations[0].value in (private_codes.SOLID, private_codes.PART_SOLID, private_codes.GROUND_GLASS)
        assert finding.evaluations[1].value == size_band((long_axis + short_axis) / 2)


def test_each_finding_has_a_mask_on_the_voxels_of_the_series(part: Volume, prediction: Prediction) -> None:
    voxel_mm3 = float(np.prod(part.spacing_mm))
    for finding in prediction.findings:
        assert finding.mask is not None
        assert finding.position_mm is not None
        covered = masks.expand_mask(finding.mask, part.hu.shape)
        volume = next(m.value for m in finding.measurements if m.name == codes.VOLUME)
        assert covered.sum() * voxel_mm3 == pytest.approx(volume, rel=0.5, abs=60)
        nearest = np.abs((np.argwhere(covered) - part.index(finding.position_mm)) * part.spacing_mm).max(axis=1).min()
        assert nearest < 4.0


def test_the_heat_map_is_the_heat_of_the_series_and_is_reproducible(
    small: Volume, small_prediction: Prediction, model: runtime.Model
) -> None:
    prediction = small_prediction
    kept = model.heat_map(small, prediction)
    assert kept is not None
    assert kept.step == pytest.approx(tuple(1.0 / s for s in small.spacing_mm))
    again = changed(small, small.hu.copy())  # other memory: nothing is kept of it
    assert model.heat_map(again, prediction) == kept
    values = masks.unpack_heat_map(kept)
    assert 0.0 <= values.min() <= values.max() <= 1.0
    for finding in prediction.findings:
        assert finding.position_mm is not None
        at = (np.array(small.index(finding.position_mm)) - kept.origin) / kept.step
        near = tuple(slice(max(0, round(i) - 4), round(i) + 5) for i in at)
        assert values[near].max() > model.card.thresholds["heat"]
    assert model.heat_map(small, Prediction(Outcome.NOT_ANALYSED)) is None


def test_a_small_volume_gives_the_same_bits_twice(small: Volume, small_prediction: Prediction, model: runtime.Model) -> None:
    assert small_prediction.outcome is Outcome.FINDINGS
    assert model.predict([small]) == [small_prediction]


def test_the_ends_of_the_lungs_that_the_part_does_not_show_are_named(prediction: Prediction) -> None:
    (sentence,) = prediction.not_covered
    assert sentence.startswith(
        "The lower end and the upper end of the lungs were not covered by the series: what lies there was not examined"
    )
    assert prediction.notes[0] == sentence


def test_an_unsuitable_series_gets_the_reason(model: runtime.Model) -> None:
    tissue = np.full((20, 128, 128), 40, np.int16)
    cases = [
        (made_up(tissue, (3.0, 2.0, 2.0)), "no lung field"),
        (made_up(tissue[:12], (3.0, 2.0, 2.0)), "16 slices"),
        (made_up(tissue, (6.0, 2.0, 2.0)), "5 mm"),
        (made_up(tissue, (3.0, 1.0, 1.0)), "200 mm"),
    ]
    for prediction, (_, reason) in zip(model.predict([volume for volume, _ in cases]), cases, strict=True):
        assert prediction.outcome is Outcome.NOT_ANALYSED
        assert reason in prediction.reason
        assert not prediction.findings
