"""Imported classifiers on OCT and ultrasound: frames one by one with the card's rule, and as one block."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import ModelError, NotAnalysable
from core.states import Outcome
from imaging.frames.frame_series import FrameSeries, read_frame_series
from imaging.masks import unpack_heat_map
from models.bundle.classifier.frame_volume_model import FrameVolumeClassifier
from models.bundle.classifier.frames_model import FrameClassifier
from models.protocol import Model
from tests.support.monai_classifiers import GREY, about_modality, inference, inference_of_frames, load_classifier
from tests.support.multi_frame import ULTRASOUND_LOOP, multi_frame, oct_volume

VOLUME = {**GREY, "spatial_dims": 3}


def load(folder: Path, about: str, network: dict[str, object] = GREY, dims: int = 2, steps: int = 0) -> Model:
    return load_classifier(folder, inference_of_frames(network) if dims == 3 else inference(network), about, steps)


def series(folder: Path, discs: list[bool]) -> FrameSeries:
    path = folder / f"{len(discs)}-{sum(discs)}.dcm"
    oct_volume(discs).save_as(path, enforce_file_format=True)
    return read_frame_series([path], "OPT")


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A trained network that takes the mean of the two frames of highest score."""
    return load(tmp_path_factory.mktemp("zoo"), about_modality("OPT", frames={"top": 2, "most": 40}), steps=40)


def test_one_disc_in_many_frames_is_found_with_its_frame(discs: Model, tmp_path: Path) -> None:
    assert isinstance(discs, FrameClassifier)
    shows = [number in (11, 12) for number in range(19)]  # two batches
    item = series(tmp_path, shows)
    (answer,) = discs.predict([item])
    assert answer.outcome is Outcome.FINDINGS
    (finding,) = answer.findings
    assert finding.sop_instance_uid == item.files[0].sop_instance_uid
    assert finding.frame in (12, 13)
    assert finding.probability is not None
    assert finding.probability > 0.5
    assert answer.notes[1] == "The values of the classes are the mean over the 2 frames of highest score, of 19 frames."
    heat = discs.heat_map(item, answer)
    assert heat is not None
    assert (heat.shape, heat.origin) == ((1, 60, 80), (finding.frame - 1, 0.0, 0.0))
    values = unpack_heat_map(heat)[0]
    assert values[14:34, 22:42].mean() > 2 * values[46:, 60:].mean()
    assert discs.predict([series(tmp_path, [False] * 5)])[0].outcome is Outcome.NO_FINDING


def test_more_frames_than_the_card_allows_are_refused(discs: Model, tmp_path: Path) -> None:
    with pytest.raises(NotAnalysable, match="41 frames, and the model's card allows 40"):
        discs.predict([series(tmp_path, [False] * 41)])


def test_a_network_for_volumes_takes_the_frames_as_a_block(tmp_path: Path) -> None:
    model = load(tmp_path / "zoo", about_modality("OPT") + "[thresholds]\nscore = 0.0\n", VOLUME, dims=3)
    assert isinstance(model, FrameVolumeClassifier)
    item = series(tmp_path, [True, False, True])
    array = model._array(item)
    assert array.shape == (1, 80, 60, 3)
    assert np.array_equal(array[0, :, :, 1], item.rgb(1)[..., 0].T)
    (answer,) = model.predict([item])
    assert set(answer.probabilities) == {"disc", "nothing"}
    if answer.findings:
        heat = model.heat_map(item, answer)
        assert heat is not None
        assert heat.shape == (3, 60, 80)


def test_a_block_of_colour_frames_is_their_luminance(tmp_path: Path) -> None:
    frames = np.zeros((2, 60, 80, 3), np.uint8)
    frames[..., 1] = 200  # green, which the red channel has nothing of
    multi_frame(frames, study=8450, sop_class=ULTRASOUND_LOOP, modality="US").save_as(tmp_path / "loop.dcm", enforce_file_format=True)
    item = read_frame_series([tmp_path / "loop.dcm"], "US")
    model = load(tmp_path / "zoo", about_modality("US"), VOLUME, dims=3)
    assert isinstance(model, FrameVolumeClassifier)
    assert np.unique(model._array(item)).tolist() == [117]


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (about_modality("MR"), "one of OPT, US, SM"),
        (about_modality("OPT", frames={"topp": 2}), r"\[frames\] has an unknown key topp"),
        (about_modality("OPT", frames={"top": -1}), "frames.top is 0 or more"),
        (about_modality("", frames={"top": 1}), r"\[frames\] is for classifiers"),
    ],
)
def test_what_is_stated_wrongly_is_refused(about: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        load(tmp_path, about)


def test_orientation_is_refused_for_frames(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not known here: Orientationd"):
        load_classifier(tmp_path, inference(VOLUME, dims=3), about_modality("OPT"))
