"""Which version of a model the conductor plans jobs for: the active one and its shadows; a report says that a model is retired."""

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from core.settings.settings import Settings
from core.states import ModelOrigin, ModelState, Priority, UnitKind
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs.job_admin import requeue_jobs, show_job
from db.listings.jobs import list_jobs
from db.operations import model_registry
from deploy.demo.synthetic.lesion import lesion_dataset
from dicom_node.conduct.conductor import Conductor
from dicom_node.conduct.model_versions import served_versions
from models import installed, registry
from models.card import identity
from models.installed import ModelVersion
from tests.support.model_packages import other_version
from tests.support.queued_jobs import SKIN, JobFactory, configure
from tests.support.records import scalar
from workers.attempt import wake_up
from workers.child.drain_flag import DrainFlag
from workers.child.runtime import ChildRuntime

PACKAGED = registry.pipeline_digest(SKIN)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def installed_version(settings: Settings, tmp_path: Path) -> ModelVersion:
    """Version 9.9.9, installed."""
    return installed.install_version(other_version(SKIN, tmp_path / "brought"), settings.node.data_dir / installed.FOLDER)


@pytest.fixture
def conduct(settings: Settings, database: Database) -> Callable[[int], list[dict[str, Any]]]:
    """Receives one photograph; returns the jobs that were planned for it, the oldest first."""
    blobs = Blobs(settings.blobs_dir)
    queueing = JobFactory(database, blobs)

    def go(seed: int) -> list[dict[str, Any]]:
        before = {row["job_id"] for row in list_jobs(database)}
        dataset = lesion_dataset(seed, size=(150, 200))
        dataset.Modality = "DMS"
        queueing.receive(dataset, UnitKind.IMAGE)
        conductor = Conductor(settings, database, blobs)
        until = time.monotonic() + 240
        while scalar(database, "SELECT count(*) FROM units WHERE state = 'open'") and time.monotonic() < until:
            time.sleep(min(0.1, conductor.process_due_units()))
        conductor.close()
        return [row for row in reversed(list_jobs(database)) if row["job_id"] not in before]

    return go


def activate(database: Database, place: ModelVersion) -> None:
    model_registry.activate_model(database, identity(place.card, place.digest), origin=place.origin, actor="admin")


def test_the_packaged_version_then_an_activated_one_then_a_rollback(
    database: Database, installed_version: ModelVersion, settings: Settings, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    (first,) = conduct(1)
    assert (first["model_digest"], first["shadow"], first["destinations"]) == (PACKAGED, False, ["pacs"])
    packaged = installed.find_version(SKIN, PACKAGED, settings.node.data_dir / installed.FOLDER)
    activate(database, packaged)
    activate(database, installed_version)
    (second,) = conduct(2)
    assert (second["model_version"], second["model_digest"]) == ("9.9.9", installed_version.digest)
    model_registry.rollback_model(database, SKIN, available={PACKAGED, installed_version.digest}, actor="admin")
    (third,) = conduct(3)
    assert third["model_digest"] == PACKAGED


def test_a_shadow_gets_a_job_without_destinations(
    database: Database, installed_version: ModelVersion, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    who = identity(installed_version.card, installed_version.digest)
    model_registry.shadow_or_retire(database, who, ModelState.SHADOW, origin=ModelOrigin.INSTALLED, actor="admin")
    served, shadow = conduct(1)
    assert (served["model_digest"], served["shadow"], served["destinations"]) == (PACKAGED, False, ["pacs"])
    assert (shadow["model_digest"], shadow["shadow"], shadow["destinations"]) == (installed_version.digest, True, [])
    assert shadow["priority"] == "routine"


def wake(settings: Settings, database: Database) -> int:
    """Runs a worker on the jobs that are due."""
    priorities = (Priority.URGENT, Priority.ROUTINE)
    return wake_up.handle_wake_up(ChildRuntime(settings, database, Blobs(settings.blobs_dir), DrainFlag(), priorities, "test:1", 1, "cpu"))


def test_if_the_model_is_retired_a_report_says_that_nothing_was_analysed(
    database: Database, installed_version: ModelVersion, settings: Settings, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    """The route claimed the image: no report at all would be read as a negative result."""
    activate(database, installed_version)
    model_registry.shadow_or_retire(
        database,
        identity(installed_version.card, installed_version.digest),
        ModelState.RETIRED,
        origin=installed_version.origin,
        actor="admin",
    )
    (job,) = conduct(1)
    assert (job["job_state"], job["model_version"], job["destinations"]) == ("failed", "9.9.9", ["pacs"])
    assert "no version of dermoscopy_7class is active" in str(scalar(database, "SELECT reason FROM units"))
    assert wake(settings, database) == 1
    shown = show_job(database, job["job_id"])
    assert (shown["job_state"], shown["outcome"]) == ("failed", "not_analysed")
    assert [row["problems"] for row in shown["reports"]] == [[]]
    assert [(row["destination"], row["object"], row["state"]) for row in shown["deliveries"]] == [("pacs", "sr", "pending")]
    report = dcmread(io.BytesIO(Blobs(settings.blobs_dir).read(shown["reports"][0]["sha256"])))
    said = [str(element.value) for element in report.iterall() if element.keyword == "TextValue"]
    assert any("No analysis was begun" in text and "no version of dermoscopy_7class is active" in text for text in said)
    assert wake(settings, database) == 0

    activate(database, installed.find_version(SKIN, PACKAGED, settings.node.data_dir / installed.FOLDER))
    assert requeue_jobs(database, [job["job_id"]], "admin") == [job["job_id"]]
    again = show_job(database, job["job_id"])["superseded_by"]
    assert show_job(database, again)["model_digest"] == PACKAGED
    assert wake(settings, database) == 1
    assert show_job(database, again)["outcome"] in ("findings", "abstained")


def test_a_model_with_missing_files_and_an_unknown_model(
    database: Database, installed_version: ModelVersion, settings: Settings, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    activate(database, installed_version)
    shutil.rmtree(installed_version.folder)
    (gone,) = conduct(1)
    assert (gone["job_state"], gone["model_digest"]) == ("failed", installed_version.digest)
    assert "is no longer on this machine" in show_job(database, gone["job_id"])["reason"]
    nobody = served_versions("nobody", [], settings.node.data_dir)
    assert "nobody" in nobody.problem
    assert nobody.serving.version == "unknown"
    assert wake(settings, database) == 1
    assert show_job(database, gone["job_id"])["outcome"] == "not_analysed"
