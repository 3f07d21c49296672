"""Statistics by pipeline, scanner and week: committed with the result, and compared over weeks."""

from concurrent.futures import ThreadPoolExecutor

from core.policy.drift import DriftObservation
from db.engine import Database
from db.jobs import job_leases
from db.jobs.finish import commit_result
from db.operations import drift
from db.pipelined import execute_pipelined
from tests.support.records import DIGEST, Sender, claim, complete, identity, plan, prediction, run, scalar, timings

SCORE = "probability:mel"


def count(database: Database, *values: float, scanner: str = "ACME One", weeks_ago: int = 0) -> None:
    """Count one unit for every value, some weeks ago."""
    with database.begin() as connection:
        for value in values:
            observations = [DriftObservation(SCORE, value), DriftObservation("outcome", 0.0)]
            execute_pipelined(
                connection, drift.count_statements(model="m", version="1", digest=DIGEST, scanner=scanner, observations=observations)
            )
    if weeks_ago:
        now = "date_trunc('week', node_now() AT TIME ZONE 'UTC')::date"
        run(database, f"UPDATE model_statistics SET week = week - {7 * weeks_ago} WHERE week = {now}")


def levels(database: Database, references: dict[str, dict[str, list[float]]] | None = None) -> list[tuple[str, int, str, str]]:
    rows = drift.weekly_statistics(database, model="m", references=references or {})
    return [(row["scanner"], row["n"], row["level"], row["against"]) for row in rows if row["quantity"] == SCORE]


def test_units_of_a_week_add_up_by_bin(database: Database) -> None:
    count(database, 0.05, 0.15, 0.15, 0.95)
    count(database, 0.15, scanner="")
    rows = {row["scanner"]: row["bins"] for row in drift.weekly_statistics(database, references={}) if row["quantity"] == SCORE}
    assert rows == {"ACME One": [1, 2, 0, 0, 0, 0, 0, 0, 0, 1], "unknown": [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]}


def test_later_weeks_are_compared_with_the_first_of_the_same_scanner(database: Database) -> None:
    for week in range(10, 4, -1):
        count(database, *[0.1] * 40, *[0.6] * 20, weeks_ago=week)
    count(database, *[0.6] * 40, *[0.1] * 20, weeks_ago=2)
    count(database, *[0.6] * 10, weeks_ago=1)
    count(database, *[0.9] * 60, scanner="Other", weeks_ago=1)
    assert levels(database) == [
        *[("ACME One", 60, "expected", "first weeks")] * 4,
        *[("ACME One", 60, "stable", "first weeks")] * 2,
        ("ACME One", 60, "drifted", "first weeks"),
        ("ACME One", 10, "too few", "first weeks"),
        ("Other", 60, "expected", "first weeks"),
    ]


def test_the_reference_of_the_card_is_preferred_if_its_bins_fit(database: Database) -> None:
    count(database, *[0.1] * 60)
    low = [0.0, 500.0, *[0.0] * 8]
    assert levels(database, {DIGEST: {SCORE: low}}) == [("ACME One", 60, "stable", "card")]
    assert levels(database, {DIGEST: {SCORE: low[::-1]}}) == [("ACME One", 60, "drifted", "card")]
    assert levels(database, {DIGEST: {SCORE: [1.0]}}) == [("ACME One", 60, "expected", "first weeks")]


def test_concurrent_counts_lose_nothing(database: Database) -> None:
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda value: count(database, value), [0.1, 0.2, 0.3, 0.4] * 10))
    assert scalar(database, f"SELECT sum(b) FROM model_statistics, unnest(bins) b WHERE quantity = '{SCORE}'") == 40


def test_counts_are_committed_with_the_result_or_not_at_all(database: Database) -> None:
    Sender(database).send(1)
    complete(database, plan())
    job = claim(database)
    values = {"prediction": prediction(), "identity": identity(), "objects": (), "timings": timings(), "scanner": "ACME One"}
    commit_result(database, job, observations=(DriftObservation("score", 0.9),), **values)  # type: ignore[arg-type]
    (row,) = drift.weekly_statistics(database, references={})
    assert (row["model"], row["version"], row["digest"], row["n"]) == ("lung_nodule_ct", "1.0", DIGEST, 1)
    try:
        commit_result(database, job, observations=(DriftObservation("score", 0.9),), **values)  # type: ignore[arg-type]
    except job_leases.LeaseLost:
        (row,) = drift.weekly_statistics(database, references={})
    assert row["n"] == 1
