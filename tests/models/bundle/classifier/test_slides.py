"""Imported classifiers on whole slides: tiles of tissue, the card's rule, the place of the strongest tile, and the heat map."""

import gc
import weakref
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from core.errors import ModelError, NotAnalysable
from core.states import Outcome
from imaging.masks import unpack_heat_map
from imaging.slide import slide as slide_module
from imaging.slide.slide import Slide, read_slide
from models.bundle.classifier.slide_model import SlideClassifier
from models.bundle.classifier.tile_grid import TileGrid, make_grid
from models.card import read_card
from models.protocol import Model
from tests.support.monai_classifiers import GREY, about_modality, inference, load_classifier
from tests.support.slides import TILE, pyramid

TILES = {"magnification": 20, "size": TILE, "top": 1, "most": 30}


def load(folder: Path, about: str, steps: int = 0) -> Model:
    return load_classifier(folder, inference(GREY), about, steps)


def read(folder: Path, **given: Any) -> Slide:
    return saved(folder, *pyramid(**given))


def saved(folder: Path, fine: FileDataset, coarse: FileDataset) -> Slide:
    paths = [folder / "fine.dcm", folder / "coarse.dcm"]
    for path, dataset in zip(paths, (fine, coarse), strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return read_slide(paths)


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A trained network that reads tiles of 64 pixels at 20x."""
    return load(tmp_path_factory.mktemp("zoo"), about_modality("SM", tiles=TILES), steps=40)


@pytest.mark.parametrize("sparse", [False, True])
def test_one_tile_of_a_slide_is_found(discs: Model, sparse: bool, tmp_path: Path) -> None:
    assert isinstance(discs, SlideClassifier)
    slide = read(tmp_path, discs=((2, 5),), sparse=sparse)
    (answer,) = discs.predict([slide])
    assert answer.outcome is Outcome.FINDINGS
    (finding,) = answer.findings
    assert (finding.sop_instance_uid, finding.frame) == (slide.levels[0].sop_instance_uid, None)
    assert finding.image_point == (5.5 * TILE, 2.5 * TILE)
    assert answer.notes[1].startswith("The values of the classes are those of the tile of highest score, of 20 tiles of 64 pixels")
    heat = discs.heat_map(slide, answer)
    assert heat is not None
    values = unpack_heat_map(heat)[0]
    assert values.shape == (6, 8)
    assert tuple(np.unravel_index(values.argmax(), values.shape)) == (2, 5)
    assert (values[0] == 0).all(), "tiles of glass have no value"
    assert heat.step == (1.0, TILE, TILE)


def test_a_slide_without_disc_has_no_finding_and_each_slide_its_own_values(discs: Model, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    without, with_disc = read(tmp_path, discs=()), read(tmp_path / "other", discs=((3, 3),))
    answers = discs.predict([without, with_disc])
    assert [one.outcome for one in answers] == [Outcome.NO_FINDING, Outcome.FINDINGS]
    assert discs.heat_map(without, answers[0]) is None
    assert discs.predict([without])[0] == answers[0]


def test_tissue_without_stored_tiles_is_named_and_not_analysed_as_glass(
    discs: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the last instance of a concatenation is missing that does not state its number of instances."""
    monkeypatch.setattr(slide_module, "LEAST_SIDE", 1)
    fine, coarse = pyramid(discs=((2, 5),), sparse=True)
    del fine.PerFrameFunctionalGroupsSequence[17:]
    fine.NumberOfFrames, fine.PixelData = 17, fine.PixelData[: 17 * TILE * TILE * 3]
    (answer,) = discs.predict([saved(tmp_path, fine, coarse)])
    assert next(note for note in answer.notes if note.startswith("The values")).endswith(
        "28 tiles with less tissue than 10% were left out. "
        "Not analysed: 3 tiles with tissue in the overview, of which this level stores nothing."
    )
    del fine.PerFrameFunctionalGroupsSequence[1:]
    fine.PerFrameFunctionalGroupsSequence[0].PlanePositionSlideSequence[0].RowPositionInTotalImagePixelMatrix = 1
    fine.NumberOfFrames, fine.PixelData = 1, fine.PixelData[: TILE * TILE * 3]
    with pytest.raises(NotAnalysable, match="no tile with tissue is stored in the level that is read"):
        discs.predict([saved(tmp_path, fine, coarse)])


def test_what_is_wrong_with_the_tiles_that_are_read_is_in_the_report(discs: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are decoded for the network, after the header was read: JPEG 2000 whose header kept the colour space of a JPEG."""
    fine, coarse = pyramid(discs=((2, 5),))
    tiles = np.frombuffer(fine.PixelData, np.uint8).reshape(-1, TILE, TILE, 3)
    fine.PixelData = encapsulate([imagecodecs.jpeg2k_encode(tile, level=0, codecformat="J2K", mct=False) for tile in tiles])
    fine["PixelData"].is_undefined_length = True
    fine.file_meta.TransferSyntaxUID, fine.PhotometricInterpretation = JPEG2000Lossless, "YBR_FULL_422"
    monkeypatch.setattr(slide_module, "LEAST_SIDE", 1)
    slide = saved(tmp_path, fine, coarse)
    assert slide.notes == ()
    (answer,) = discs.predict([slide])
    assert [note for note in answer.notes if "the colours may be wrong" in note] == [
        "the header says YBR_FULL_422, which does not go with JPEG 2000: the colours may be wrong"
    ]


def test_a_slide_is_not_kept_in_memory(discs: Model, tmp_path: Path) -> None:
    slide = read(tmp_path, discs=((2, 5),))
    (answer,) = discs.predict([slide])
    kept = [weakref.ref(level) for level in slide.levels]
    del slide
    gc.collect()
    assert answer.findings
    assert [level() for level in kept] == [None] * len(kept)


def test_the_card_states_magnification_and_rule_and_the_level_is_resampled(discs: Model, tmp_path: Path) -> None:
    assert (discs.card.modality, discs.card.unit) == ("SM", "series")
    assert discs.card.preprocessing["pixel_um"] == 0.5
    assert discs.card.preprocessing["magnification"] == 20
    assert discs.card.preprocessing["aggregation"] == "those of the tile of highest score"
    model = load(tmp_path / "zoo", about_modality("SM", tiles={"pixel_um": 1.0, "size": TILE}))
    assert read_card(tmp_path / "zoo" / "made" / "card.toml") == model.card
    grid = make_grid(read(tmp_path), model.card)
    assert (grid.side, grid.shape) == (128, (3, 4))
    assert grid.picture(0).shape == (TILE, TILE, 3)


def test_the_point_of_a_tile_at_the_edge_lies_on_the_slide(tmp_path: Path) -> None:
    level = read(tmp_path).levels[0]
    assert 5 * TILE < min(level.matrix.rows, level.matrix.columns) < 7 * TILE
    grid = TileGrid(level, 5 * TILE, TILE, (2, 2), np.array([[0, 0], [1, 1]]))
    assert grid.centre(0) == (2.5 * TILE, 2.5 * TILE)
    assert grid.centre(1) == ((5 * TILE + level.matrix.columns) / 2, (5 * TILE + level.matrix.rows) / 2)


def test_too_many_tiles_and_bare_glass_are_refused(discs: Model, tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="42 tiles have tissue, and the model's card allows 30"):
        discs.predict([read(tmp_path, shape=(8, 10))])
    with pytest.raises(NotAnalysable, match="no tile of the slide has 10% of tissue"):
        discs.predict([read(tmp_path, shape=(2, 4), discs=())])


@pytest.mark.parametrize(
    ("tiles", "says"),
    [
        ({}, "either pixel_um or magnification"),
        ({"pixel_um": 0.5, "magnification": 20}, "either pixel_um or magnification"),
        ({"pixel_um": 0}, "pixel_um is above 0"),
        ({"pixel_um": 0.5, "side": 64}, r"\[tiles\] has an unknown key side; known: pixel_um, magnification, top"),
        ({"pixel_um": 0.5, "least_tissue": 2}, "least_tissue between 0 and 1"),
    ],
)
def test_what_is_stated_wrongly_is_refused(tiles: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        load(tmp_path, about_modality("SM", tiles=tiles))
