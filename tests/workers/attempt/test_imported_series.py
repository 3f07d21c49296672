"""Multi-frame series from blobs to valid result objects, by an imported classifier."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from core.settings.settings import Settings
from core.states import ResultKind, UnitKind
from db.jobs.job_admin import show_job
from deploy.demo.result_check import dciodvfy_errors
from models import installed
from models.bundle.convert import convert
from tests.support.imported_series import colour_loop
from tests.support.monai_classifiers import GREY, about_modality, inference, inference_of_frames, make_classifier
from tests.support.multi_frame import oct_volume
from tests.support.queued_jobs import JobFactory
from tests.support.records import rows
from tests.support.slides import TILE, pyramid
from tests.workers.conftest import texts_of
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime
from workers.encode.validate.validator import validate


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The destination takes heat maps too."""
    taking = [one.model_copy(update={"objects": (ResultKind.SR, ResultKind.HEATMAP)}) for one in settings.destinations]
    return settings.model_copy(update={"destinations": taking})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained bundle, without what a person states about it."""
    return make_classifier(tmp_path_factory.mktemp("zoo") / "bundle", inference(GREY), steps=40)


def install(bundle: Path, about: str, settings: Settings, folder: Path) -> installed.ModelVersion:
    (folder / "about.toml").write_text(about)
    convert(bundle, folder / "about.toml", folder / "made")
    return installed.install_version(folder / "made", settings.node.data_dir / installed.FOLDER)


def sha256_of(runtime: ChildRuntime, job: int, kind: str) -> str:
    ((sha256,), *_) = rows(runtime.database, f"SELECT sha256 FROM reports WHERE job_id = {job} AND kind = '{kind}'")
    return str(sha256)


def valid_object(runtime: ChildRuntime, job: int, kind: str, folder: Path) -> Dataset:
    """A result object, which must pass the node's check and dciodvfy."""
    content = runtime.blobs.read(sha256_of(runtime, job, kind))
    assert validate(content) == ()
    (folder / kind).write_bytes(content)
    assert dciodvfy_errors(folder / kind) == []
    return dcmread(io.BytesIO(content))


def items_of(document: Dataset) -> Iterator[Dataset]:
    """The content items of a report, in their order."""
    for item in document.get("ContentSequence", ()):
        yield item
        yield from items_of(item)


def test_an_oct_volume_gives_a_report_and_a_heat_map(
    bundle: Path, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    version = install(bundle, about_modality("OPT", frames={"top": 1}), settings, tmp_path)
    volume = oct_volume([False, False, True, False])
    job, _ = factory.queue([volume], UnitKind.SERIES, "bright_discs", version="1.0.0", digest=version.digest)
    wake_up.handle_wake_up(runtime)
    assert show_job(runtime.database, job)["outcome"] == "findings"
    report = valid_object(runtime, job, "sr", tmp_path)
    assert any("those of the frame of highest score, of 4 frames" in text for text in texts_of(report))
    assert {element.value for element in report.iterall() if element.keyword == "ReferencedFrameNumber"} == {3}
    picture = valid_object(runtime, job, "heatmap", tmp_path)
    assert picture.SourceImageSequence[0].ReferencedFrameNumber == 3


def test_a_whole_slide_gives_a_report_with_the_place_in_its_matrix_and_a_heat_map(
    bundle: Path, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    version = install(bundle, about_modality("SM", tiles={"pixel_um": 0.5, "size": TILE, "top": 1}), settings, tmp_path)
    levels = pyramid(discs=((2, 5),))
    job, _ = factory.queue(levels, UnitKind.SERIES, "bright_discs", version="1.0.0", digest=version.digest)
    wake_up.handle_wake_up(runtime)
    assert show_job(runtime.database, job)["outcome"] == "findings"
    report = valid_object(runtime, job, "sr", tmp_path)
    points = [item for item in items_of(report) if item.get("ValueType") == "SCOORD"]
    assert {(tuple(item.GraphicData), item.PixelOriginInterpretation) for item in points} == {((5.5 * TILE, 2.5 * TILE), "VOLUME")}
    references = {item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in points}
    assert references == {levels[0].SOPInstanceUID}
    picture = valid_object(runtime, job, "heatmap", tmp_path)
    assert picture.SourceImageSequence[0].ReferencedSOPInstanceUID == levels[0].SOPInstanceUID, "the coarse level has too few pixels"


@pytest.mark.parametrize("modality", ["OPT", "US"])
def test_frames_are_analysed_as_one_block(
    modality: str, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    """A network in 3D takes the frames of an OCT volume or an ultrasound loop as a volume."""
    config = inference_of_frames({**GREY, "spatial_dims": 3})
    version = install(make_classifier(tmp_path / "bundle", config, steps=5), about_modality(modality), settings, tmp_path)
    images = oct_volume([True, False] * 8) if modality == "OPT" else colour_loop([True, False] * 8)
    job, _ = factory.queue([images], UnitKind.SERIES, "bright_discs", version="1.0.0", digest=version.digest)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job)
    assert shown["outcome"] in ("findings", "no_finding", "abstained"), shown["reason"]
    valid_object(runtime, job, "sr", tmp_path)
