"""Which jobs may share a process with another: the next in the order, of one kind, and never tried before."""

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
from tests.support.records import rows as found


def company(database: Database, limit: int = 10, kind: UnitKind = UnitKind.SERIES, digest: str = DIGEST) -> list[int]:
    claimed = claim_pipeline_batch(
        database, worker="w", priorities=(Priority.ROUTINE,), kind=kind, digests=(digest,), lease_s=60, limit=limit
    )
    return [job.id for job in claimed]


@pytest.fixture
def four(database: Database) -> list[int]:
    """Queued jobs of one series each, in the order of the queue."""
    sender, ids = Sender(database), []
    for number in range(1, 5):
        study = f"1.2.{number}"
        sender.send(number, series=f"{study}.4", study=study)
        ids += complete(database, plan(), study=study) or []
    return ids


def test_only_its_kind_and_its_pipeline(database: Database, four: list[int]) -> None:
    assert company(database, kind=UnitKind.IMAGE) == []
    assert company(database, digest="e" * 64) == []
    assert company(database, limit=3) == four[:3]
    assert company(database) == four[3:]


def test_what_was_tried_before_is_left_and_nobody_overtakes_more_than_the_limit(database: Database, four: list[int]) -> None:
    run(database, f"UPDATE jobs SET attempts = 1 WHERE id IN ({four[0]}, {four[1]})")
    assert company(database, limit=2) == []
    assert company(database, limit=3) == [four[2]]
    claimed = claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=9)
    assert [job.id for job in claimed] == [four[0], four[1], four[3]]


def test_each_comes_with_its_own_inputs(database: Database, four: list[int]) -> None:
    claimed = claim_jobs(database, worker="w", priorities=None, models=None, lease_s=60, limit=4)
    own = {int(str(job)): str(uid) for job, uid in found(database, _INPUTS)}
    assert [[entry.sop_instance_uid for entry in job.inputs] for job in claimed] == [[own[id]] for id in four]
    assert len({entry.sop_instance_uid for job in claimed for entry in job.inputs}) == 4
    assert all(isinstance(job, ClaimedJob) for job in claimed)


_INPUTS = "SELECT job_id, sop_instance_uid FROM job_inputs JOIN instances ON instances.id = instance_id"


@pytest.mark.parametrize(
    ("statement", "index", "stand"),
    [
        (claim._QUEUED, "jobs_queued", "state = 'queued'"),
        (claim._NOT_ANALYSED, "jobs_not_analysed", "state = 'failed', failure_state = 'failed'"),
    ],
    ids=["queued", "given up"],
)
def test_the_next_job_of_a_long_queue_is_found_in_the_order_of_an_index(
    database: Database, statement: TextClause, index: str, stand: str
) -> None:
    """A sort would read the whole queue for every claim."""
    fill_database(database, studies=1_000, each=1)
    run(database, f"UPDATE jobs SET {stand}")
    run(database, "ANALYZE jobs")
    values = {"worker": "w", "lease_s": 9, "priorities": None, "models": None, "job_id": None, "kind": None, "digests": [], "limit": 1}
    with database.begin() as connection:
        plan = json.dumps(connection.execute(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), values).scalar_one())
    assert f'"Index Name": "{index}"' in plan
    assert '"Node Type": "Sort"' not in plan
