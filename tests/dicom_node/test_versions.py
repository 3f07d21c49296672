"""Which version of a model the conductor plans for: the active one, its shadows beside it, and none that was retired."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from core.states import ModelState, Origin, UnitKind
from db import jobs, models
from db.base import Database
from db.blobs import Blobs
from dicom_node.conductor import Conductor
from imaging.synthetic.lesion import lesion_dataset
from models import installed, registry
from models.card import identity
from models.installed import Place
from tests.support.installing import other_version
from tests.support.queueing import SKIN, Queueing, configure
from tests.support.records import scalar

PACKAGED = registry.pipeline_digest(SKIN)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return configure(tmp_path, database_url)


@pytest.fixture
def brought(settings: Settings, tmp_path: Path) -> Place:
    """Version 9.9.9, installed."""
    return installed.install(other_version(SKIN, tmp_path / "brought"), settings.node.data_dir / installed.FOLDER)


@pytest.fixture
def conduct(settings: Settings, database: Database) -> Callable[[int], list[dict[str, Any]]]:
    """One photograph in, and what was planned for it, the oldest job first."""
    blobs = Blobs(settings.blobs_dir)
    queueing = Queueing(database, blobs)

    def go(seed: int) -> list[dict[str, Any]]:
        before = {row["job_id"] for row in jobs.listing(database)}
        dataset = lesion_dataset(seed, size=(150, 200))
        dataset.Modality = "DMS"
        queueing.receive(dataset, UnitKind.IMAGE)
        conductor = Conductor(settings, database, blobs)
        until = time.monotonic() + 20
        while scalar(database, "SELECT count(*) FROM units WHERE state = 'open'") and time.monotonic() < until:
            time.sleep(min(0.1, conductor.turn()))
        conductor.close()
        return [row for row in reversed(jobs.listing(database)) if row["job_id"] not in before]

    return go


def activate(database: Database, place: Place) -> None:
    models.activate(database, identity(place.card, place.digest), origin=place.origin, actor="admin")


def test_the_packaged_version_then_what_a_person_activated_then_back(
    database: Database, brought: Place, settings: Settings, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    (first,) = conduct(1)
    assert (first["model_digest"], first["shadow"], first["destinations"]) == (PACKAGED, False, ["pacs"])
    packaged = installed.find(SKIN, PACKAGED, settings.node.data_dir / installed.FOLDER)
    activate(database, packaged)
    activate(database, brought)
    (second,) = conduct(2)
    assert (second["model_version"], second["model_digest"]) == ("9.9.9", brought.digest)
    models.rollback(database, SKIN, here={PACKAGED, brought.digest}, actor="admin")
    (third,) = conduct(3)
    assert third["model_digest"] == PACKAGED


def test_a_shadow_gets_a_job_without_destinations(
    database: Database, brought: Place, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    who = identity(brought.card, brought.digest)
    models.set_aside(database, who, ModelState.SHADOW, origin=Origin.INSTALLED, actor="admin")
    served, shadow = conduct(1)
    assert (served["model_digest"], served["shadow"], served["destinations"]) == (PACKAGED, False, ["pacs"])
    assert (shadow["model_digest"], shadow["shadow"], shadow["destinations"]) == (brought.digest, True, [])
    assert shadow["priority"] == "routine"


def test_a_retired_model_gets_no_job_and_the_unit_says_why(
    database: Database, brought: Place, settings: Settings, conduct: Callable[[int], list[dict[str, Any]]]
) -> None:
    activate(database, brought)
    models.set_aside(database, identity(brought.card, brought.digest), ModelState.RETIRED, origin=brought.origin, actor="admin")
    assert conduct(1) == []
    assert "no version of dermoscopy_7class is active" in str(scalar(database, "SELECT reason FROM units"))
