"""Multi-frame series from blobs to valid result objects, by an imported classifier."""

import io
from pathlib import Path

import pytest
from pydicom import dcmread

from core.settings.settings import Settings
from core.states import UnitKind
from db.jobs.job_admin import show_job
from deploy.demo.result_check import dciodvfy_errors
from models import installed
from models.bundle.convert import convert
from tests.support.monai_classifiers import RESNET, about_modality, inference, make_classifier
from tests.support.multi_frame import oct_volume
from tests.support.queued_jobs import JobFactory
from tests.support.records import rows
from tests.workers.conftest import report_of, texts_of
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime
from workers.encode.validate.validator import validate


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained bundle, without what a person states about it."""
    return make_classifier(tmp_path_factory.mktemp("zoo") / "bundle", inference({**RESNET, "n_input_channels": 1}), steps=40)


def install(bundle: Path, about: str, settings: Settings, folder: Path) -> installed.ModelVersion:
    (folder / "about.toml").write_text(about)
    convert(bundle, folder / "about.toml", folder / "made")
    return installed.install_version(folder / "made", settings.node.data_dir / installed.FOLDER)


def test_an_oct_volume_gives_a_report_and_a_heat_map(
    bundle: Path, settings: Settings, runtime: ChildRuntime, factory: JobFactory, tmp_path: Path
) -> None:
    version = install(bundle, about_modality("OPT", frames={"top": 1}), settings, tmp_path)
    volume = oct_volume([False, False, True, False])
    job, _ = factory.queue([volume], UnitKind.SERIES, "bright_discs", version="1.0.0", digest=version.digest)
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job)
    assert (shown["outcome"], shown["reason"]) == ("findings", None)
    report = report_of(runtime, job)
    assert any("the mean over the 1 frames of highest score, of 4 frames" in text for text in texts_of(report))
    assert {element.value for element in report.iterall() if element.keyword == "ReferencedFrameNumber"} == {3}
    (heat,) = rows(runtime.database, f"SELECT sha256 FROM reports WHERE job_id = {job} AND kind = 'heatmap'")
    content = runtime.blobs.read(str(heat[0]))
    assert validate(content) == ()
    (tmp_path / "heat.dcm").write_bytes(content)
    assert dciodvfy_errors(tmp_path / "heat.dcm") == []
    picture = dcmread(io.BytesIO(content))
    assert picture.SourceImageSequence[0].ReferencedFrameNumber == 3
