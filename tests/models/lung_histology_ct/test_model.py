"""lung_histology_ct: preparation of slices, abstention, prediction of a series, determinism."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.concepts.codes import LUNG, LUNG_HISTOLOGY
from core.records import Prediction
from core.states import Outcome
from deploy.demo.synthetic.chest import make_chest
from imaging.masks import unpack_heat_map
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models import registry, runtime
from models.lung_histology_ct.model import HistologyClassifier
from models.lung_histology_ct.postprocess import histology_prediction
from models.lung_histology_ct.preprocess import PLANES, PreparedSlice, blank_lungs, prepare_slice, window_hu
from models.lung_histology_ct.probabilities import Calibration, probabilities
from tests.support.real_data import shared_data
from training import drawn_pictures
from training.held_out import held_out_answers
from training.lung_histology_ct import data as screenshots
from training.lung_histology_ct.calibration import calibrate
from training.lung_histology_ct.held_out import batches

NAME = "lung_histology_ct"
MASSES = PLANES.index("masses")


@pytest.fixture(scope="module")
def model() -> HistologyClassifier:
    loaded = runtime.load(NAME, device="cpu")
    assert isinstance(loaded, HistologyClassifier)
    return loaded


@pytest.fixture(scope="module")
def frank(model: HistologyClassifier) -> HistologyClassifier:
    """The same weights under a card that lets every slice pass and every answer out."""
    open_card = replace(
        model.card,
        thresholds={**model.card.thresholds, "max_distance": 1e9, "min_probability": 0.0, "min_normal": 0.0, "min_agreement": 0.0},
    )
    return HistologyClassifier(open_card, model.identity, registry.verify_weights(registry.folder(NAME)), "cpu")


@pytest.fixture(scope="module")
def chest() -> Volume:
    """A drawn chest with a mass."""
    made = make_chest(5, slices=40, size=160, slice_mm=5.0, pixel_mm=2.2, diameters_mm=(30.0,))
    dz, dy, dx = made.spacing_mm
    uids = tuple(f"2.25.{i + 1}" for i in range(len(made.hu)))
    return Volume(made.hu, np.diag([dx, dy, dz, 1.0]), made.spacing_mm, uids, (1,) * len(uids), "2.25.99", ())


@pytest.fixture(scope="module")
def of_chest(frank: HistologyClassifier, chest: Volume) -> Prediction:
    return frank.predict([chest])[0]


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder with ct-slices-4class; never part of the repository."""
    return shared_data(f"{screenshots.FOLDER}/{screenshots.INDEX}")


def picture(grey: np.ndarray, uid: str = "") -> Photograph:
    return Photograph(np.repeat(grey[..., None], 3, axis=2), uid, None, "", "", None, ())


def planes(grey: np.ndarray, model: HistologyClassifier) -> np.ndarray:
    made = prepare_slice(grey, model.card.thresholds)
    assert isinstance(made, PreparedSlice), made
    return made.planes.astype(int)


def middle_of(chest: Volume) -> Volume:
    """Twelve of the forty slices: the network takes a third of the time."""
    values = {name: getattr(chest, name) for name in Volume.__slots__}
    kept = {name: getattr(chest, name)[14:26] for name in ("hu", "sop_instance_uids", "frame_numbers")}
    return Volume(**{**values, **kept})


def window(hu: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.round((np.clip(hu, low, high) - low) * 255 / (high - low)).astype(np.uint8)


def test_the_card_has_the_declared_codes_status_and_limits(model: HistologyClassifier) -> None:
    card = model.card
    assert {label.name: label.code for label in card.labels} == LUNG_HISTOLOGY
    assert tuple(label.name for label in card.labels) == screenshots.CLASSES
    assert card.status == "research"
    assert card.units == ("series", "image")
    assert "ODbL" in card.licence
    assert any("screenshots" in limit for limit in card.limits)
    assert registry.verify_weights(registry.folder(NAME)).stat().st_size < 5_000_000


def test_normal_cannot_be_recognised_by_its_source_within_the_intervals(model: HistologyClassifier) -> None:
    proofs = model.card.metrics["shortcuts"]
    assert proofs["nearest_neighbour_before"]["auc_low"] > 0.8, "the data have the flaw that is taken away"
    for name in ("nearest_neighbour_masses_plane", "nearest_neighbour_lungs_blanked", "network_lungs_blanked"):
        assert proofs[name]["auc_low"] <= 0.55, f"{name}: normal is told by its source"


@pytest.mark.parametrize(("low", "high"), [(-1350.0, 150.0), (-1000.0, 400.0), (-1024.0, 3000.0)])
def test_the_planes_do_not_depend_on_the_window(model: HistologyClassifier, chest: Volume, low: float, high: float) -> None:
    hu = chest.hu[20]
    difference = np.abs(planes(window(hu, low, high), model) - planes(window_hu(hu), model))
    assert difference.mean() < 4.0
    assert difference[MASSES].mean() < 2.0


def test_the_planes_do_not_depend_on_marks_and_borders(model: HistologyClassifier, chest: Volume) -> None:
    clean = window_hu(chest.hu[20])
    marked = clean.copy()
    marked[3:9, 5:60] = 255  # a text in the corner
    marked[70:72, 10:150] = 255  # a line right across
    bordered = np.pad(marked, ((0, 12), (0, 0)), constant_values=0)
    difference = np.abs(planes(bordered, model)[MASSES] - planes(clean, model)[MASSES])
    assert difference.mean() < 3.0


def test_the_masses_plane_shows_a_mass_and_no_vessels(model: HistologyClassifier, chest: Volume) -> None:
    mass = max(range(len(chest.hu)), key=lambda z: planes(window_hu(chest.hu[z]), model)[MASSES].sum() if 10 <= z < 30 else -1)
    without = min(range(12, 28), key=lambda z: planes(window_hu(chest.hu[z]), model)[MASSES].sum())
    fine, masses = planes(window_hu(chest.hu[mass]), model)
    assert masses.max() > 120
    assert (planes(window_hu(chest.hu[without]), model)[MASSES] > 0).mean() < 0.01 < (fine > 60).mean()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda hu: window(hu, -160.0, 240.0), "% of the lungs as black"),
        (lambda hu: window_hu(hu)[::4, ::4], "shorter side has 40 pixels"),
        (lambda hu: np.full((160, 160), 90, np.uint8), "no lungs were found"),
        (lambda hu: window_hu(np.maximum(hu, 0)), "no lungs were found"),
        (lambda hu: window(hu, -4000.0, 12000.0), "grey levels"),
    ],
)
def test_an_unusable_slice_is_refused(model: HistologyClassifier, chest: Volume, change: object, says: str) -> None:
    assert callable(change)
    (said,) = model.predict([picture(change(chest.hu[20]))])
    assert said.outcome is Outcome.ABSTAINED
    assert says in said.reason
    assert not said.probabilities


@pytest.mark.parametrize("kind", ["noise", "document", "plain_skin", "texture"])
def test_drawn_pictures_are_refused(model: HistologyClassifier, kind: str) -> None:
    pictures = [drawn_pictures.draw_picture(kind, seed) for seed in range(2000, 2020)]
    grey = [picture(rgb.mean(axis=2).astype(np.uint8)) for rgb in pictures]
    colour = [Photograph(rgb, "", None, "", "", None, ()) for rgb in pictures]
    for items in (grey, colour):
        refused = [said for said in model.predict(items) if said.outcome is Outcome.ABSTAINED and not said.probabilities]
        assert len(refused) >= 19
        assert all(said.reason for said in refused)


def test_the_probability_of_normal_does_not_depend_on_the_carcinoma_logits() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 3, (50, 4))
    other = logits.copy()
    other[:, :3] = rng.normal(0, 9, (50, 3))
    how = Calibration(1.7, 0.6, (0.4, 0.2, 0.3, 0.1))
    p, q = probabilities(logits, how), probabilities(other, how)
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    np.testing.assert_array_equal(p[:, 3], q[:, 3])


def test_uninformative_logits_give_the_class_shares_and_good_logits_stay_good() -> None:
    rng = np.random.default_rng(2)
    shares = (0.4, 0.25, 0.25, 0.1)
    labels = rng.choice(4, 4000, p=shares)
    nothing = rng.normal(0, 3, (4000, 4))
    p = probabilities(nothing, calibrate(nothing, labels, shares))
    assert np.abs(p - np.array(shares)).mean() < 0.06
    good = nothing.copy()
    for i, label in enumerate(labels):
        good[i, 3] = rng.normal(-6 if label == 3 else 6, 1)
        if label < 3:
            good[i, label] += 12
    assert (probabilities(good, calibrate(good, labels, shares)).argmax(axis=1) == labels).mean() > 0.97


def test_an_undecided_model_abstains_with_its_probabilities(model: HistologyClassifier) -> None:
    said = histology_prediction(model.card, np.array([0.45, 0.30, 0.15, 0.10]), ())
    assert said.outcome is Outcome.ABSTAINED
    assert "adenocarcinoma, has 0.45, 0.60 is needed" in said.reason
    assert said.findings == ()
    assert sum(said.probabilities.values()) == pytest.approx(1.0)


def test_a_carcinoma_is_a_finding_in_the_lung_and_normal_is_no_finding(model: HistologyClassifier) -> None:
    said = histology_prediction(model.card, np.array([0.05, 0.85, 0.05, 0.05]), ("note",), sop_instance_uid="2.25.7", frame=1)
    (finding,) = said.findings
    assert (finding.label, finding.code, finding.site) == ("large_cell_carcinoma", LUNG_HISTOLOGY["large_cell_carcinoma"], LUNG)
    assert finding.sop_instance_uid == "2.25.7"
    assert "tissue decides" in said.notes[0]
    clear = histology_prediction(model.card, np.array([0.02, 0.02, 0.02, 0.94]), ())
    assert clear.outcome is Outcome.NO_FINDING
    assert clear.findings == ()
    assert "excludes nothing" in clear.notes[0]
    assert histology_prediction(model.card, np.array([0.1, 0.1, 0.1, 0.7]), ()).outcome is Outcome.ABSTAINED, "more is asked of normal"


def test_bit_for_bit_the_same_alone_in_a_batch_and_loaded_again(frank: HistologyClassifier, chest: Volume) -> None:
    items: list[Photograph | Volume] = [picture(window_hu(chest.hu[z])) for z in (15, 20, 25)]
    items.append(middle_of(chest))
    together = frank.predict(items)
    assert frank.predict(items) == together
    assert [frank.predict([item])[0] for item in items] == together
    again = HistologyClassifier(frank.card, frank.identity, registry.verify_weights(registry.folder(NAME)), "cpu")
    assert again.predict(items[::-1]) == together[::-1]
    assert all(said.probabilities for said in together)


def test_a_series_is_the_mean_of_its_slices(frank: HistologyClassifier, chest: Volume, of_chest: Prediction) -> None:
    said = of_chest
    (note,) = [note for note in said.notes if note.startswith("Mean over")]
    assert "slices of the lung field" in note
    assert sum(said.probabilities.values()) == pytest.approx(1.0)
    if said.findings:
        assert said.findings[0].sop_instance_uid in chest.sop_instance_uids
    strict = replace(frank.card, thresholds={**frank.card.thresholds, "min_agreement": 1.1})
    (apart,) = HistologyClassifier(strict, frank.identity, registry.verify_weights(registry.folder(NAME)), "cpu").predict([chest])
    assert apart.outcome is Outcome.ABSTAINED
    assert "the slices disagree" in apart.reason
    assert apart.probabilities == said.probabilities
    narrow = replace(frank.card, thresholds={**frank.card.thresholds, "max_distance": 0.0})
    (strange,) = HistologyClassifier(narrow, frank.identity, registry.verify_weights(registry.folder(NAME)), "cpu").predict([chest])
    assert strange.outcome is Outcome.ABSTAINED
    assert "0 of" in strange.reason
    assert not strange.probabilities


def test_an_unsuitable_series_is_not_analysed(model: HistologyClassifier, chest: Volume) -> None:
    values = {name: getattr(chest, name) for name in Volume.__slots__}
    few = Volume(**{**values, "hu": chest.hu[:5]})
    turned = Volume(**{**values, "affine": chest.affine[[2, 1, 0, 3]]})
    bones = Volume(**{**values, "hu": np.maximum(chest.hu, 0)})
    said = model.predict([few, turned, bones])
    assert [one.outcome for one in said] == [Outcome.NOT_ANALYSED] * 3
    assert "8 slices are needed, the series has 5" in said[0].reason
    assert "axial" in said[1].reason
    assert "no lung field" in said[2].reason


def test_the_heat_map_lies_on_the_lungs(
    frank: HistologyClassifier, model: HistologyClassifier, chest: Volume, of_chest: Prediction
) -> None:
    one = picture(window_hu(chest.hu[20]))
    (said,) = frank.predict([one])
    heat = frank.heat_map(one, said)
    assert heat is not None
    assert heat.shape == (1, 96, 128)
    assert unpack_heat_map(heat).max() == 1.0
    last = [o + s * (n - 1) for o, s, n in zip(heat.origin, heat.step, heat.shape, strict=True)]
    assert 0 <= heat.origin[1] < last[1] < 160
    assert 0 <= heat.origin[2] < last[2] < 160
    whole = frank.heat_map(chest, of_chest)
    assert whole is not None
    assert whole.shape[0] >= 8
    assert whole.origin[0] + whole.step[0] * (whole.shape[0] - 1) < len(chest.hu)
    assert "Grad-CAM" in whole.meaning
    abstained = Prediction(Outcome.ABSTAINED, probabilities=said.probabilities, reason="undecided")
    assert model.heat_map(one, abstained) is None


def test_with_blanked_lungs_the_probability_of_normal_is_constant(model: HistologyClassifier, data: Path) -> None:
    rows = screenshots.spread_over_index(screenshots.read_index(data), 12)
    made = [prepare_slice(blank_lungs(grey), model.card.thresholds) for grey in screenshots.read_pictures(data, rows)]
    kept = [one for one in made if isinstance(one, PreparedSlice)]
    assert len(kept) >= 36
    assert np.mean([(one.planes[MASSES] > 0).mean() for one in kept]) < 0.01
    p = probabilities(model.run_networks(np.stack([one.planes for one in kept])).logits, model.calibration)[:, -1]
    assert np.quantile(p, 0.9) - np.quantile(p, 0.1) < 0.05


def test_held_out_slices_are_classified_by_the_network_trained_without_their_cluster(model: HistologyClassifier, data: Path) -> None:
    found = held_out_answers(model, batches(model, data, 6), progress=lambda _: None)
    assert found.names == screenshots.CLASSES
    assert len(found.labels) + found.abstained <= 24
    assert len(set(found.groups)) >= 12
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, atol=1e-6)
