"""Stored units are read in pages: each once and in order, and the memory does not grow with the period."""

import tracemalloc

from core.states import JobState
from db.engine import Database
from db.trial.shadow_jobs import queue_shadow_job, shadow_plan
from db.trial.stored_units import TrialSelection, stored_units, tried_routes, units_now
from tests.support.records import claim, identity, report_study, rows, run, scalar, unit_of

NEW = identity("e" * 64)
SELECTION = TrialSelection(NEW.name, NEW.digest, ("chest CT",))
# Units that no route took, in one study; three at a time were complete at the same instant.
MORE_SERIES = """
    INSERT INTO series (study_id, series_instance_uid, modality, series_description, body_part_examined)
    SELECT (SELECT min(id) FROM studies), '1.9.' || n, 'CT', '', '' FROM generate_series(1, {count}) AS n
"""
MORE_UNITS = """
    INSERT INTO units (series_id, kind, state, source, held, outcome, completed_at)
    SELECT id, 'series', 'complete', 'PACS', 1, 'not_analysed', timestamptz '2026-01-01' + (id / 3) * interval '1 minute'
    FROM series WHERE series_instance_uid LIKE '1.9.%%'
"""


def add_units(database: Database, count: int) -> None:
    """Add complete units without instances."""
    with database.begin() as connection:
        connection.exec_driver_sql(MORE_SERIES.format(count=count))
        connection.exec_driver_sql(MORE_UNITS)


def test_pages_hold_every_unit_once_and_the_latest_first(database: Database) -> None:
    report_study(database)
    add_units(database, 10)
    expected = [id for (id,) in rows(database, "SELECT id FROM units ORDER BY completed_at DESC, id DESC")]
    assert len(expected) == 11
    for page in (1, 2, 3, 11, 12, 1000):
        assert [unit.id for unit in stored_units(database, SELECTION, page=page)] == expected
    found = {unit.id: unit.selected_by for unit in stored_units(database, SELECTION, page=4)}
    assert [id for id, routes in found.items() if routes == ("chest CT",)] == [unit_of(database).id]


def test_the_memory_does_not_grow_with_the_period(database: Database) -> None:
    """All units of a period came in one query: half a kilobyte each, beside the rows of the driver."""
    report_study(database)
    add_units(database, 6000)

    def most_bytes(page: int) -> int:
        tracemalloc.start()
        try:
            assert sum(1 for _ in stored_units(database, SELECTION, page=page)) == 6001
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most_bytes(100)  # what is imported and cached at the first time
    assert most_bytes(100) * 10 < most_bytes(10_000)


def test_how_far_a_unit_is(database: Database) -> None:
    report_study(database)
    unit = unit_of(database)
    assert units_now(database, NEW.digest, [unit.id, 999]) == units_now(database, NEW.digest, [unit.id])
    (before,) = units_now(database, NEW.digest, [unit.id])
    assert (before.revision, before.job_id, before.ended) == (unit.revision, None, False)
    study = int(str(scalar(database, "SELECT id FROM studies")))
    assert tried_routes(database, NEW.digest, study) == frozenset()
    plan = shadow_plan(NEW.name, NEW.version, NEW.digest, ("chest CT",))
    job = queue_shadow_job(database, unit.id, unit.revision, plan, actor="cli:eve")
    for state, ended in ((None, False), (JobState.RUNNING, False), (JobState.FAILED, True)):
        if state is JobState.RUNNING:
            claim(database)
        elif state is not None:
            run(database, f"UPDATE jobs SET state = '{state}', lease_until = NULL, token = NULL, worker = NULL WHERE id = {job}")
        (now,) = units_now(database, NEW.digest, [unit.id])
        (stored,) = stored_units(database, SELECTION)
        assert (now.job_id, now.ended, stored.job_id, stored.ended) == (job, ended, job, ended)
    assert tried_routes(database, NEW.digest, study) == {"chest CT"}
