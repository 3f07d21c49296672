"""Which version a worker runs: the one that the job asks for, packaged or installed; shadows leave no report behind."""

from pathlib import Path

import pytest

from core.settings.settings import Settings
from core.states import ModelOrigin, ModelState, Priority
from db.blobs.store import Blobs
from db.deliveries import delivery_leases
from db.engine import Database
from db.jobs import job_leases
from db.operations import drift, model_registry, results_export
from deploy.demo.synthetic.lesion import lesion_dataset
from models import installed, registry
from models.card import identity
from models.installed import Place
from tests.support.model_packages import other_version
from tests.support.queued_jobs import SKIN, JobFactory, configure
from tests.support.records import run as execute
from tests.support.records import scalar
from workers.attempt import claim
from workers.attempt.child_runtime import Runtime
from workers.attempt.drain_flag import DrainFlag


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def runtime(settings: Settings, database: Database) -> Runtime:
    return Runtime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), (Priority.URGENT, Priority.ROUTINE), "test:1", 1, "cpu")


@pytest.fixture
def brought(settings: Settings, tmp_path: Path) -> Place:
    """Version 9.9.9, installed."""
    return installed.install(other_version(SKIN, tmp_path / "brought"), settings.node.data_dir / installed.FOLDER)


def test_an_installed_version_answers_where_the_job_asks_for_it(runtime: Runtime, brought: Place) -> None:
    queueing = JobFactory(runtime.database, runtime.blobs)
    mine, _ = queueing.photograph(1, digest=brought.digest)
    packaged, _ = queueing.photograph(2)
    while claim.wake(runtime):  # a slow machine takes one job a wake-up
        pass
    found = {job: job_leases.show(runtime.database, job)["model_identity"] for job in (mine, packaged)}
    assert (found[mine]["version"], found[mine]["digest"]) == ("9.9.9", brought.digest)
    assert found[packaged]["digest"] == registry.pipeline_digest(SKIN)
    known = {one.digest: (one.state, one.origin) for one in model_registry.known(runtime.database)}
    assert known[brought.digest] == (ModelState.ACTIVE, ModelOrigin.INSTALLED)  # the first that served
    assert known[registry.pipeline_digest(SKIN)] == (ModelState.STANDBY, ModelOrigin.PACKAGE)


def test_inputs_and_scores_are_counted_with_the_result(runtime: Runtime) -> None:
    JobFactory(runtime.database, runtime.blobs).photograph(1)
    claim.wake(runtime)
    rows = {row["quantity"]: row for row in drift.weeks(runtime.database, references={})}
    assert {"brightness", "contrast", "redness", "outcome"} <= set(rows)
    assert {row["digest"] for row in rows.values()} == {registry.pipeline_digest(SKIN)}
    assert {row["n"] for row in rows.values()} == {1}
    source = lesion_dataset(1, size=(150, 200))
    assert {row["scanner"] for row in rows.values()} == {f"{source.Manufacturer} {source.get('ManufacturerModelName', '')}".strip()}


def test_what_serves_is_what_a_person_activated(runtime: Runtime, brought: Place) -> None:
    assert runtime.served(SKIN).identity.digest == registry.pipeline_digest(SKIN)
    runtime.register_models()
    who = identity(brought.card, brought.digest)
    model_registry.activate(runtime.database, who, origin=brought.origin, actor="admin")
    assert runtime.served(SKIN).identity == who
    runtime.register_models()
    assert [one.state for one in model_registry.known(runtime.database)] == [ModelState.STANDBY, ModelState.ACTIVE]


def test_altered_weights_of_an_installed_version_are_never_run(runtime: Runtime, brought: Place) -> None:
    weights = brought.room / brought.card.weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    job, _ = JobFactory(runtime.database, runtime.blobs).photograph(1, digest=brought.digest)
    claim.wake(runtime)
    assert "its card expects" in job_leases.show(runtime.database, job)["reason"]
    assert scalar(runtime.database, "SELECT count(*) FROM findings") == 0


def test_a_shadow_answers_and_leaves_no_report(runtime: Runtime, brought: Place) -> None:
    model_registry.set_aside(
        runtime.database, identity(brought.card, brought.digest), ModelState.SHADOW, origin=brought.origin, actor="admin"
    )
    job, _ = JobFactory(runtime.database, runtime.blobs).photograph(1, digest=brought.digest)
    execute(runtime.database, "UPDATE jobs SET shadow = true, destinations = '{}'")
    before = set(runtime.blobs.path("0" * 64).parents[3].rglob("*"))
    claim.wake(runtime)
    shown = job_leases.show(runtime.database, job)
    assert (shown["job_state"], shown["shadow"], shown["reports"]) == ("delivered", True, [])
    assert shown["probabilities"]
    assert delivery_leases.listing(runtime.database) == []
    assert list(results_export.findings(runtime.database)) == []
    assert {path for path in runtime.blobs.path("0" * 64).parents[3].rglob("*") if path.is_file()} <= before
