"""Destinations added to a job: each gets the objects of its result profile, and no report that names an object it does not get."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from core.policy.result_profiles import ResultProfiles
from core.states import JobState, ResultKind
from db.engine import Database
from db.jobs.finish import commit_result
from db.jobs.job_admin import show_job
from db.jobs.job_records import ClaimedJob, StoredObject
from db.listings.deliveries import list_deliveries
from tests.support.records import Sender, claim, complete, identity, plan, prediction, report, run, timings

SR, SEG, PDF = ResultKind.SR, ResultKind.SEG, ResultKind.PDF
RESULT = ((SEG, "seg"), (PDF, "pdf"), (SR, "sr+pdf+seg"), (SR, "sr+seg@pacs"))
CASES = {
    "the report alone": ([(SR, "sr")], {SR}, [("sr", "sr", "pending")]),
    "some objects and the report": ([(SR, "sr")], {SR, SEG}, [("seg", "seg", "pending"), ("sr", "sr", "pending")]),
    "everything": ([], {SR, SEG, PDF}, [("seg", "seg", "pending"), ("pdf", "pdf", "pending"), ("sr", "sr+pdf+seg", "pending")]),
    "the PDF": ([], {PDF}, [("pdf", "pdf", "pending")]),
    "no report fits": ([], {SR}, [("sr", "sr+pdf+seg", "held")]),
}


Case = tuple[list[tuple[ResultKind, str]], ResultProfiles, list[tuple[str, str, str]]]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    more, kinds, deliveries = CASES[request.param]
    return more, {"later": frozenset(kinds)}, deliveries


@pytest.fixture
def job(database: Database) -> ClaimedJob:
    """A job under way."""
    Sender(database).send(1)
    complete(database, plan())
    return claim(database)


def result_objects(job: ClaimedJob, profiles: list[tuple[ResultKind, str]]) -> tuple[StoredObject, ...]:
    """An object of each kind and profile, for the job's own destinations."""
    made = []
    for number, (kind, profile) in enumerate(profiles):
        stored = report(job)
        made.append(
            replace(
                stored,
                report=replace(stored.report, kind=kind, profile=profile, sop_instance_uid=f"{stored.report.sop_instance_uid}.{number}"),
            )
        )
    return tuple(made)  # fmt: skip


def deliveries_to_later(database: Database) -> list[tuple[str, str, str]]:
    """(kind, profile, state) of the deliveries to the added destination."""
    query = text("""
        SELECT r.kind, r.profile, d.state FROM deliveries d JOIN reports r ON r.id = d.report_id WHERE d.destination = 'later' ORDER BY d.id
    """)
    with database.begin() as connection:
        return [(row.kind, row.profile, row.state) for row in connection.execute(query)]


def test_a_destination_added_to_a_finished_result(database: Database, job: ClaimedJob, case: Case) -> None:
    more, profiles, deliveries = case
    commit_result(
        database, job, prediction=prediction(), identity=identity(), objects=result_objects(job, [*RESULT, *more]), timings=timings()
    )
    run(database, "UPDATE units SET state = 'open'")  # completed again with the same content
    assert complete(database, replace(plan(destinations=("pacs", "later")), profiles=profiles)) == [job.id]
    assert deliveries_to_later(database) == deliveries
    assert show_job(database, job.id)["job_state"] == JobState.REPORTED
    held = [row for row in list_deliveries(database) if row["state"] == "held"]
    assert len(held) == sum(state == "held" for _, _, state in deliveries)
    assert all("run the job again" in row["note"] for row in held)


def test_a_destination_added_while_the_job_runs(database: Database, job: ClaimedJob, case: Case) -> None:
    more, profiles, deliveries = case
    run(database, "UPDATE jobs SET destinations = '{pacs,later}'")
    objects = result_objects(job, [*RESULT, *more])
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=objects, profiles=profiles, timings=timings())
    assert deliveries_to_later(database) == deliveries


def test_objects_that_failed_validation_are_held_for_an_added_destination_too(database: Database, job: ClaimedJob) -> None:
    objects = (replace(report(job), problems=("a code is not known",)),)
    commit_result(database, job, prediction=prediction(), identity=identity(), objects=objects, timings=timings())
    run(database, "UPDATE units SET state = 'open'")
    complete(database, plan(destinations=("pacs", "later")))
    rows = {row["destination"]: (row["state"], row["note"]) for row in list_deliveries(database)}
    assert rows == dict.fromkeys(("pacs", "later"), ("held", "a code is not known"))
