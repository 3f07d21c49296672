"""Failed jobs that a person has queued again: selected by model and reason, in parts, with the reason where one cannot be."""

import pytest

from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database
from db.jobs.requeue_plan import OUTDATED, FailedSelection, FailureCause, failure_causes, plan_requeue
from tests.support.records import Sender, complete, plan, run

MEMORY, DAMAGED = "out of memory", "the series is damaged"


def fail_job(database: Database, number: int, reason: str, model: str = "lung_nodule_ct") -> int:
    """Receive a study, and have its job fail; return the id of the job."""
    study = f"1.2.{number}"
    Sender(database).send(1, study=study, series=f"{study}.1")
    (job,) = complete(database, plan(model), study=study) or []
    run(database, f"UPDATE jobs SET state = 'quarantined', reason = '{reason}' WHERE id = {job}")
    return job


@pytest.fixture
def failed(database: Database) -> list[int]:
    """Two jobs of one model that ran out of memory, one whose series is damaged, and one of another model; beside them a queued job."""
    jobs = [fail_job(database, number, reason) for number, reason in enumerate((MEMORY, DAMAGED, MEMORY), 1)]
    jobs.append(fail_job(database, 4, MEMORY, model="dermoscopy_7class"))
    Sender(database).send(1, study="1.2.9", series="1.2.9.1")
    complete(database, plan(), study="1.2.9")
    return jobs


def _planned(database: Database, selection: FailedSelection, part: RowRange = WHOLE) -> list[int]:
    return [row.job_id for row in plan_requeue(database, selection, part)]


def test_by_model_and_reason(database: Database, failed: list[int]) -> None:
    assert _planned(database, FailedSelection()) == failed
    assert _planned(database, FailedSelection("lung_nodule_ct")) == failed[:3]
    assert _planned(database, FailedSelection(cause=MEMORY)) == [failed[0], failed[2], failed[3]]
    assert _planned(database, FailedSelection("lung_nodule_ct", MEMORY)) == [failed[0], failed[2]]
    assert _planned(database, FailedSelection(cause="memory")) == [], "a reason is compared as a whole"


def test_in_parts(database: Database, failed: list[int]) -> None:
    assert _planned(database, FailedSelection(), RowRange(limit=2)) == failed[:2]
    assert _planned(database, FailedSelection(), RowRange(after=failed[0], last=failed[2])) == failed[1:3]


def test_reasons_are_counted_by_model(database: Database, failed: list[int]) -> None:
    assert failure_causes(database, limit=10) == [
        FailureCause("lung_nodule_ct", MEMORY, 2),
        FailureCause("dermoscopy_7class", MEMORY, 1),
        FailureCause("lung_nodule_ct", DAMAGED, 1),
    ]


def test_a_job_of_an_older_revision_is_refused(database: Database, failed: list[int]) -> None:
    run(database, f"UPDATE units SET revision = revision + 1 WHERE id = (SELECT unit_id FROM jobs WHERE id = {failed[1]})")
    assert [row.refusal for row in plan_requeue(database, FailedSelection("lung_nodule_ct"))] == ["", OUTDATED, ""]
