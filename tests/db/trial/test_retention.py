"""A trial keeps images from retention only while its shadow job waits or runs."""

from pathlib import Path

import pytest

from core.settings.operations import RetentionSection
from db.blobs.store import Blobs
from db.engine import Database
from db.jobs import job_leases
from db.jobs.finish import commit_result
from db.jobs.job_records import ClaimedJob
from db.operations import retention
from db.trial.shadow_jobs import queue_shadow_job, shadow_plan
from tests.support.records import (
    Sender,
    claim,
    complete,
    deliver_all,
    identity,
    prediction,
    report_study,
    run,
    scalar,
    timings,
    unit_of,
)

IMAGES, UNROUTED = retention.retention_rules(RetentionSection(images_days=30, unrouted_days=7))
NEW = identity("e" * 64)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


def try_in_shadow(database: Database, study: str) -> ClaimedJob:
    """Queue and claim a shadow job for the unit of a study."""
    unit = unit_of(database, study)
    assert queue_shadow_job(database, unit.id, unit.revision, shadow_plan(NEW.name, "2.0", NEW.digest, ()), actor="t") is not None
    return claim(database)


def removed_by(database: Database, blobs: Blobs, rule: retention.RetentionRule) -> int:
    """How many units a rule removes the images of."""
    return retention.apply_rule(database, blobs, rule, actor="t", limit=100).units


def test_a_result_or_failure_of_today_keeps_no_old_images(database: Database, blobs: Blobs) -> None:
    """On a unit that was delivered long ago, and on one that no route took."""
    report_study(database)
    deliver_all(database)
    Sender(database).send(1, series="1.2.9", study="1.9")
    complete(database, study="1.9", reason="no route")
    run(database, "UPDATE units SET last_received_at = node_now() - interval '40 days', completed_at = node_now() - interval '40 days'")
    run(database, "UPDATE jobs SET delivered_at = node_now() - interval '40 days'")
    finished, failed = try_in_shadow(database, "1.2.3"), try_in_shadow(database, "1.9")
    assert (removed_by(database, blobs, IMAGES), removed_by(database, blobs, UNROUTED)) == (0, 0)
    commit_result(database, finished, prediction=prediction(0), identity=NEW, objects=(), timings=timings())
    job_leases.fail_job(database, failed, error="x", permanent=True, retry_in_s=0, max_attempts=1)
    assert (removed_by(database, blobs, IMAGES), removed_by(database, blobs, UNROUTED)) == (1, 1)
    assert scalar(database, "SELECT count(*) FROM instances WHERE removed_at IS NULL") == 0
