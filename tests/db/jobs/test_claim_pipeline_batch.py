"""Jobs for one batch: the next in the queue, of one kind of unit and one pipeline, and never tried before."""

import json

import pytest
from sqlalchemy import TextClause, text

from core.states import Priority, UnitKind
from db.engine import Database
from db.jobs import claim
from db.jobs.claim import claim_jobs, claim_pipeline_batch
from db.jobs.job_records import ClaimedJob
from tests.support.large_database import fill_database
from tests.support.records import DIGEST, Sender, complete, plan, run
from tests.support.records import rows as query_rows
from tests.support.services import as_superuser


def claim_batch(database: Database, limit: int = 10, kind: UnitKind = UnitKind.SERIES, digest: str = DIGEST) -> list[int]:
    """Claim a batch; the ids of its jobs."""
    claimed = claim_pipeline_batch(
        database, worker="w", priorities=(Priority.ROUTINE,), kind=kind, digests=(digest,), lease_s=60, limit=limit
    )
    return [job.id for job in claimed]


@pytest.fixture
def four_jobs(database: Database) -> list[int]:
    """Queued jobs of one series each, in the order of the queue."""
    sender, ids = Sender(database), []
    for number in range(1, 5):
        study = f"1.2.{number}"
        sender.send(number, series=f"{study}.4", study=study)
        ids += complete(database, plan(), study=study) or []
    return ids


def test_only_jobs_of_the_kind_and_the_pipeline(database: Database, four_jobs: list[int]) -> None:
    assert claim_batch(database, kind=UnitKind.IMAGE) == []
    assert claim_batch(database, digest="e" * 64) == []
    assert claim_batch(database, limit=3) == four_jobs[:3]
    assert claim_batch(database) == four_jobs[3:]


def test_jobs_that_were_tried_are_left_and_not_overtaken_by_more_than_the_limit(database: Database, four_jobs: list[int]) -> None:
    run(database, f"UPDATE jobs SET attempts = 1 WHERE id IN ({four_jobs[0]}, {four_jobs[1]})")
    assert claim_batch(database, limit=2) == []
    assert claim_batch(database, limit=3) == [four_jobs[2]]
    claimed = claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=9)
    assert [job.id for job in claimed] == [four_jobs[0], four_jobs[1], four_jobs[3]]


def test_every_claimed_job_has_its_own_inputs(database: Database, four_jobs: list[int]) -> None:
    claimed = claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=4)
    own = {int(str(job)): str(uid) for job, uid in query_rows(database, _INPUTS)}
    assert [[entry.sop_instance_uid for entry in job.inputs] for job in claimed] == [[own[id]] for id in four_jobs]
    assert len({entry.sop_instance_uid for job in claimed for entry in job.inputs}) == 4
    assert all(isinstance(job, ClaimedJob) for job in claimed)


_INPUTS = "SELECT job_id, sop_instance_uid FROM job_inputs JOIN instances ON instances.id = instance_id"


@pytest.mark.parametrize(
    ("statement", "index", "assignment"),
    [
        (claim._QUEUED, "jobs_queued", "state = 'queued'"),
        (claim._NOT_ANALYSED, "jobs_not_analysed", "state = 'failed', failure_state = 'failed'"),
    ],
    ids=["queued", "not analysed"],
)
def test_the_next_job_of_a_long_queue_is_found_by_an_index(database: Database, statement: TextClause, index: str, assignment: str) -> None:
    """Sorting would read the whole queue for every claim."""
    with as_superuser(database) as owner:
        fill_database(owner, studies=1_000, each=1)
    run(database, f"UPDATE jobs SET {assignment}")
    run(database, "ANALYZE jobs")
    values = {"worker": "w", "lease_s": 9, "priorities": None, "models": None, "job_id": None, "kind": None, "digests": [], "limit": 1}
    with database.begin() as connection:
        plan = json.dumps(connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), values).scalar_one())
    assert f'"Index Name": "{index}"' in plan
    assert '"Node Type": "Sort"' not in plan
