"""A child keeps a bounded number of models in memory, and never drops the one that it uses."""

import weakref
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import ModelError
from core.records import ModelIdentity
from core.settings.routes import Route
from core.settings.settings import Settings
from db.engine import Database
from db.jobs.job_admin import show_job
from db.operations import model_registry
from models import installed, registry
from models.card import identity
from models.installed import ModelVersion
from models.lung_histology_ct.model import HistologyClassifier
from tests.support.model_packages import other_version
from tests.support.queued_jobs import SKIN, JobFactory, configure
from tests.workers.conftest import child_runtime, with_worker
from workers.attempt import wake_up
from workers.child.loaded_models import LoadedModels

HISTOLOGY = "lung_histology_ct"  # the smallest weights


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    """Two versions in memory at most."""
    return with_worker(configure(tmp_path, database_url, "redis://127.0.0.1:1/0"), loaded_versions=2, device="cpu")


def install(settings: Settings, tmp_path: Path, name: str, *versions: str) -> list[ModelVersion]:
    folder = settings.node.data_dir / installed.FOLDER
    return [installed.install_version(other_version(name, tmp_path / one, one), folder) for one in versions]


def test_the_version_that_was_used_longest_ago_is_dropped(settings: Settings, database: Database, tmp_path: Path) -> None:
    first, second, third = install(settings, tmp_path, HISTOLOGY, "9.0.1", "9.0.2", "9.0.3")
    models = LoadedModels(settings, database)
    models.load(HISTOLOGY, first.digest)
    dropped = weakref.ref(models.load(HISTOLOGY, second.digest))
    in_use = models.load(HISTOLOGY, first.digest)
    with capture_logs() as logs:
        models.load(HISTOLOGY, third.digest)
    assert list(models.by_digest) == [first.digest, third.digest]
    assert [(entry["event"], entry["version"]) for entry in logs] == [("model_unloaded", "9.0.2")]
    assert dropped() is None, "its memory is free"
    assert models.load(HISTOLOGY, first.digest) is in_use
    models.register()
    assert {one.version for one in model_registry.registered_models(database)} == {"9.0.1", "9.0.3"}
    assert models.load(HISTOLOGY, second.digest).identity.version == "9.0.2"
    assert list(models.by_digest) == [first.digest, second.digest]


@pytest.mark.parametrize(("named", "configured", "expected"), [(0, 0, 4), (1, 0, 4), (3, 0, 6), (3, 5, 5), (3, 1, 1)])
def test_the_limit_follows_the_routes_unless_it_is_set(
    settings: Settings, database: Database, named: int, configured: int, expected: int
) -> None:
    """Two routes for each model."""
    routes = tuple(
        Route(name=f"{kind} {model}", model=f"model_{model}", destinations=("pacs",), when={"Modality": "CT"})
        for model in range(named)
        for kind in ("first", "second")
    )
    changed = with_worker(settings, loaded_versions=configured).model_copy(update={"routes": routes})
    assert LoadedModels(changed, database).limit == expected


def test_jobs_of_more_versions_than_are_kept_are_all_done(settings: Settings, database: Database, tmp_path: Path) -> None:
    runtime = child_runtime(with_worker(settings, loaded_versions=1), database)
    digests = [registry.pipeline_digest(SKIN), *(one.digest for one in install(settings, tmp_path, SKIN, "9.0.1", "9.0.2"))]
    factory = JobFactory(database, runtime.blobs)
    jobs = [(factory.photograph(number, digest=digests[number % 3])[0], digests[number % 3]) for number in range(4)]  # the first one again
    while wake_up.handle_wake_up(runtime):
        assert len(runtime.models.by_digest) == 1
    assert [show_job(database, job)["model_identity"]["digest"] for job, _ in jobs] == [digest for _, digest in jobs]


def test_a_model_that_fails_on_an_empty_image_is_loaded_all_the_same(
    settings: Settings, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version,) = install(settings, tmp_path, HISTOLOGY, "9.0.1")

    def fail(_: object) -> None:
        raise raised

    monkeypatch.setattr(HistologyClassifier, "warm_up", fail)
    models = LoadedModels(settings, database)
    raised: Exception = RuntimeError("sizes 9 and 16 do not match")
    with capture_logs() as logs:
        assert models.load(HISTOLOGY, version.digest).identity.version == "9.0.1"
    assert ("model_warm_up_failed", "RuntimeError: sizes 9 and 16 do not match") in [(one["event"], one.get("error")) for one in logs]
    models = LoadedModels(settings, database)
    raised = RuntimeError("CUDA error: unspecified launch failure")
    with pytest.raises(RuntimeError, match="launch failure"):
        models.load(HISTOLOGY, version.digest)
    assert not models.by_digest


def test_a_model_that_cannot_serve_stays_failed_while_an_older_version_works(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    older, serving = install(settings, tmp_path, HISTOLOGY, "9.0.1", "9.0.2")
    content = (serving.folder / "weights.safetensors").read_bytes()
    (serving.folder / "weights.safetensors").write_bytes(b"x")
    chosen: ModelIdentity = identity(serving.card, serving.digest)
    model_registry.activate_model(database, chosen, origin=serving.origin, actor="admin")
    models = LoadedModels(settings, database)
    with pytest.raises(ModelError, match="its card expects") as refused:
        models.load_serving(HISTOLOGY)
    models.failed[HISTOLOGY] = refused.value
    models.load(HISTOLOGY, older.digest)
    assert list(models.failed) == [HISTOLOGY]
    (serving.folder / "weights.safetensors").write_bytes(content)
    models.load(HISTOLOGY, serving.digest)
    assert not models.failed
