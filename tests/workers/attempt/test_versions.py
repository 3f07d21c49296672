"""A worker runs the version that the job asks for, from the package or installed; shadows are not reported."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.settings.settings import Settings
from core.states import ModelOrigin, ModelState
from db.jobs.job_admin import show_job
from db.listings.deliveries import list_deliveries
from db.operations import drift, model_registry, results_export
from deploy.demo.synthetic.lesion import lesion_dataset
from models import installed, registry
from models.card import identity
from models.installed import ModelVersion
from tests.support.model_packages import other_version
from tests.support.queued_jobs import SKIN, JobFactory
from tests.support.records import run as execute
from tests.support.records import scalar
from workers.attempt import wake_up
from workers.child.runtime import ChildRuntime


@pytest.fixture
def installed_version(settings: Settings, tmp_path: Path) -> ModelVersion:
    """Version 9.9.9, installed."""
    return installed.install_version(other_version(SKIN, tmp_path / "installed_version"), settings.node.data_dir / installed.FOLDER)


def test_an_installed_version_is_used_for_jobs_with_its_digest(runtime: ChildRuntime, installed_version: ModelVersion) -> None:
    factory = JobFactory(runtime.database, runtime.blobs)
    mine, _ = factory.photograph(1, digest=installed_version.digest)
    packaged, _ = factory.photograph(2)
    while wake_up.handle_wake_up(runtime):
        pass
    found = {job: show_job(runtime.database, job)["model_identity"] for job in (mine, packaged)}
    assert (found[mine]["version"], found[mine]["digest"]) == ("9.9.9", installed_version.digest)
    assert found[packaged]["digest"] == registry.pipeline_digest(SKIN)
    known = {one.digest: (one.state, one.origin) for one in model_registry.registered_models(runtime.database)}
    assert known[installed_version.digest] == (ModelState.ACTIVE, ModelOrigin.INSTALLED)  # the first that served
    assert known[registry.pipeline_digest(SKIN)] == (ModelState.STANDBY, ModelOrigin.PACKAGE)


def test_drift_observations_are_stored_with_the_result(runtime: ChildRuntime) -> None:
    JobFactory(runtime.database, runtime.blobs).photograph(1)
    wake_up.handle_wake_up(runtime)
    rows = {row["quantity"]: row for row in drift.weekly_statistics(runtime.database, references={})}
    assert {"brightness", "contrast", "redness", "outcome"} <= set(rows)
    assert {row["digest"] for row in rows.values()} == {registry.pipeline_digest(SKIN)}
    assert {row["n"] for row in rows.values()} == {1}
    source = lesion_dataset(1, size=(150, 200))
    assert {row["scanner"] for row in rows.values()} == {f"{source.Manufacturer} {source.get('ManufacturerModelName', '')}".strip()}


def test_the_activated_version_serves(runtime: ChildRuntime, installed_version: ModelVersion) -> None:
    assert runtime.models.load_serving(SKIN).identity.digest == registry.pipeline_digest(SKIN)
    runtime.models.register()
    chosen = identity(installed_version.card, installed_version.digest)
    model_registry.activate_model(runtime.database, chosen, origin=installed_version.origin, actor="admin")
    assert runtime.models.load_serving(SKIN).identity == chosen
    runtime.models.register()
    assert [one.state for one in model_registry.registered_models(runtime.database)] == [ModelState.STANDBY, ModelState.ACTIVE]


def test_altered_weights_of_an_installed_version_are_never_run(runtime: ChildRuntime, installed_version: ModelVersion) -> None:
    weights = installed_version.folder / installed_version.card.weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    job, _ = JobFactory(runtime.database, runtime.blobs).photograph(1, digest=installed_version.digest)
    wake_up.handle_wake_up(runtime)
    assert "its card expects" in show_job(runtime.database, job)["reason"]
    assert scalar(runtime.database, "SELECT count(*) FROM findings") == 0


def test_a_damaged_card_leaves_the_other_versions_to_the_worker(
    runtime: ChildRuntime, installed_version: ModelVersion, tmp_path: Path
) -> None:
    folder = runtime.settings.node.data_dir / installed.FOLDER
    older = installed.install_version(other_version(SKIN, tmp_path / "older", "9.9.8"), folder)
    (installed_version.folder / "card.toml").write_bytes(b"\xff")
    factory = JobFactory(runtime.database, runtime.blobs)
    of_damaged, _ = factory.photograph(1, digest=installed_version.digest)
    of_older, _ = factory.photograph(2, digest=older.digest)
    with capture_logs() as logs:
        assert runtime.models.load_serving(SKIN).identity.digest == registry.pipeline_digest(SKIN)
    assert [entry["version"] for entry in logs if entry["event"] == "model_version_damaged"] == ["9.9.9"]
    while wake_up.handle_wake_up(runtime):
        pass
    reason = show_job(runtime.database, of_damaged)["reason"]
    assert "is not among the versions that this worker can read" in reason
    assert f"{installed_version.folder}/card.toml" in reason
    assert show_job(runtime.database, of_older)["model_identity"]["version"] == "9.9.8"


def test_a_shadow_has_a_result_and_no_report(runtime: ChildRuntime, installed_version: ModelVersion) -> None:
    model_registry.shadow_or_retire(
        runtime.database,
        identity(installed_version.card, installed_version.digest),
        ModelState.SHADOW,
        origin=installed_version.origin,
        actor="admin",
    )
    job, _ = JobFactory(runtime.database, runtime.blobs).photograph(1, digest=installed_version.digest)
    execute(runtime.database, "UPDATE jobs SET shadow = true, destinations = '{}'")
    before = set(runtime.blobs.path("0" * 64).parents[3].rglob("*"))
    wake_up.handle_wake_up(runtime)
    shown = show_job(runtime.database, job)
    assert (shown["job_state"], shown["shadow"], shown["reports"]) == ("delivered", True, [])
    assert shown["probabilities"]
    assert list_deliveries(runtime.database) == []
    assert list(results_export.export_findings(runtime.database)) == []
    assert {path for path in runtime.blobs.path("0" * 64).parents[3].rglob("*") if path.is_file()} <= before
