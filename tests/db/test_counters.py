"""Counts agree with the rows after every change, before and after changes are folded."""

import re
from typing import Any

from sqlalchemy import text

from core.states import JobState
from db import counters
from db.counters import DWELL_BOUNDS, Labels
from db.deliveries import delivery_leases
from db.deliveries.delivery_results import record_stored
from db.engine import Database
from db.jobs import job_leases
from tests.support.records import Sender, claim, complete, finish, plan

ROWS = {
    "jobs": "SELECT ARRAY[state], count(*) FROM jobs GROUP BY state",
    "deliveries": "SELECT ARRAY[destination, state], count(*) FROM deliveries GROUP BY destination, state",
    "outcomes": "SELECT ARRAY[model, outcome], count(*) FROM jobs WHERE outcome IS NOT NULL AND NOT shadow GROUP BY model, outcome",
    "instances": "SELECT '{}'::text[], sum(held) FROM units WHERE state = 'complete'",
}


def _counted(database: Database) -> dict[str, dict[Labels, float]]:
    with database.begin() as connection:
        return {name: {labels: amount for labels, amount in found.items() if amount} for name, found in counters.read(connection).items()}


def _agree(database: Database) -> None:
    """Compare the counts with counts of the rows."""
    counted = _counted(database)
    with database.begin() as connection:
        for name, query in ROWS.items():
            rows: dict[Any, Any] = {tuple(row[0]): float(row[1]) for row in connection.execute(text(query)) if row[1]}
            assert counted.get(name, {}) == rows, name


def test_counts_during_the_life_of_jobs(database: Database) -> None:
    source = Sender(database)
    for number in (1, 2, 3):
        source.send(number, series=f"1.2.3.{number}", study=f"1.2.3.{number}")
        complete(database, plan(destinations=("one", "two")), study=f"1.2.3.{number}")
        _agree(database)
    finish(database, claim(database))
    _agree(database)
    for delivery in delivery_leases.claim_deliveries(database, sender="s", lease_s=60, limit=2):
        record_stored(database, delivery, status=0)
    _agree(database)
    second = claim(database)
    assert job_leases.fail_job(database, second, error="x", permanent=True, retry_in_s=0, max_attempts=3) is JobState.FAILED
    _agree(database)
    source.send(4, series="1.2.3.3", study="1.2.3.3")  # a late image: the unit is open again, its job waits to be superseded
    _agree(database)
    complete(database, plan(destinations=("one",)), study="1.2.3.3")
    _agree(database)
    before = _counted(database)
    for end in ("reported", "delivered"):  # in whatever bucket: that depends on how fast the machine is
        assert sum(amount for (until, _), amount in before["dwell"].items() if until == end) == 1
    assert before["attempts"] == {("lung_nodule_ct", "reported"): 1, ("lung_nodule_ct", "failed"): 1}
    assert before["delivery_attempts"] == {("one", "stored"): 1, ("two", "stored"): 1}
    assert counters.fold_changes(database, limit=5) == 5
    assert _counted(database) == before
    while counters.fold_changes(database):
        pass
    assert _counted(database) == before
    with database.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM counter_changes")).scalar_one() == 0


def test_one_process_folds_at_a_time(database: Database) -> None:
    with database.begin() as connection:
        counters.add(connection, [("x", ("a",), 1.5), ("x", ("a",), 1)])
    with database.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": counters._LOCK})
        assert counters.fold_changes(database) == 0
    assert counters.fold_changes(database) == 2
    assert _counted(database)["x"] == {("a",): 2.5}


def test_the_bounds_are_those_of_the_trigger_function(database: Database) -> None:
    with database.begin() as connection:
        source = connection.execute(text("SELECT prosrc FROM pg_proc WHERE proname = 'count_dwell'")).scalar_one()
    (bounds,) = re.findall(r"ARRAY\[([0-9., ]+)\]", source)
    assert [float(bound) for bound in DWELL_BOUNDS] == [*map(float, bounds.split(",")), float("inf")]
