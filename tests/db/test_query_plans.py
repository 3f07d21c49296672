"""Frequent queries use indexes and never scan tables that grow (at the scale of years: tests/bench/growth.py)."""

import json
from typing import Any

from db.engine import Database
from tests.support.large_database import fill_database, frequent_queries, record_statements
from tests.support.records import rows
from tests.support.services import as_superuser

STUDIES, EACH = 4_000, 3
GROWING = frozenset(
    {"studies", "series", "units", "instances", "association_units", "jobs", "job_inputs", "attempts", "findings", "reports"}
    | {"deliveries", "audit_events", "outbox", "job_priors"}
)
# Months with few events may be scanned, which is done at once: on the first day of a month the present one has few.
FILLED_MONTHS = (
    "SELECT relname FROM pg_class JOIN pg_inherits ON inhrelid = oid WHERE inhparent = 'audit_events'::regclass AND reltuples > 1000"
)
PLANNED = ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")


def test_no_frequent_query_scans_a_table_that_grows(database: Database) -> None:
    with as_superuser(database) as owner:
        fill_database(owner, studies=STUDIES, each=EACH)
    found = []
    partial = {str(row[0]) for row in rows(database, "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '% WHERE %'")}
    months = {str(row[0]) for row in rows(database, FILLED_MONTHS)}
    assert months
    for name, query in frequent_queries(database).items():
        with record_statements(database) as seen:
            query()
        for statement, parameters in seen:
            if statement.lstrip().upper().startswith(PLANNED):
                found += [f"{name}: all of {table}" for table in scanned_tables(plan(database, statement, parameters), partial, months)]
    assert found == []


def test_a_query_without_an_index_is_noticed(database: Database) -> None:
    with as_superuser(database) as owner:
        fill_database(owner, studies=STUDIES, each=EACH, bulk=True)
    assert scanned_tables(plan(database, "SELECT * FROM studies WHERE study_description = %(words)s", {"words": "x"}), set(), set()) == [
        "studies"
    ]


def plan(database: Database, statement: str, parameters: Any) -> dict[str, Any]:
    """Return PostgreSQL's plan of a statement, without executing it."""
    raw = database.engine.raw_connection()
    try:
        with raw.cursor() as cursor:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            found = cursor.fetchone()[0]
    finally:
        raw.rollback()
        raw.close()
    planned: dict[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return planned


def scanned_tables(node: dict[str, Any], partial: set[str], months: set[str]) -> list[str]:
    """Return the growing tables that a plan reads completely.

    Parameters
    ----------
    partial
        Names of partial indexes, which are small.
    months
        Names of the months of the audit trail that have many events.
    """
    table = node.get("Relation Name")
    by_index = node["Node Type"] in ("Index Scan", "Index Only Scan") and node.get("Index Name") not in partial
    # Without a condition the index only gives the order; with a filter, the scan may have to read it to the end.
    complete = node["Node Type"] == "Seq Scan" or (by_index and "Index Cond" not in node and "Filter" in node and node["Plan Rows"] < 1_000)
    found = [table] if complete and table in GROWING | months else []
    return found + [name for child in node.get("Plans", ()) for name in scanned_tables(child, partial, months)]
