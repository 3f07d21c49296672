"""What a node asks all day is found by indexes, not by going through tables that grow (the scale of years: tests/bench/growth.py)."""

import json
from typing import Any

from db.engine import Database
from tests.support.large_database import fill_database, frequent_queries, record_statements
from tests.support.records import rows

STUDIES, EACH = 4_000, 3
GROWING = frozenset(
    {"studies", "series", "units", "instances", "association_units", "jobs", "job_inputs", "attempts", "findings", "reports"}
    | {"deliveries", "audit_events", "outbox"}
)
PLANNED = ("SELECT", "UPDATE", "INSERT", "DELETE", "WITH")


def test_no_question_goes_through_a_table_that_grows(database: Database) -> None:
    fill_database(database, studies=STUDIES, each=EACH)
    found = []
    partial = {str(row[0]) for row in rows(database, "SELECT indexname FROM pg_indexes WHERE indexdef LIKE '% WHERE %'")}
    for name, ask in frequent_queries(database).items():
        with record_statements(database) as seen:
            ask()
        for statement, parameters in seen:
            if statement.lstrip().upper().startswith(PLANNED):
                found += [f"{name}: all of {table}" for table in whole(plan(database, statement, parameters), partial)]
    assert found == []


def test_a_question_without_an_index_is_noticed(database: Database) -> None:
    fill_database(database, studies=STUDIES, each=EACH)
    assert whole(plan(database, "SELECT * FROM studies WHERE study_description = %(words)s", {"words": "x"}), set()) == ["studies"]


def plan(database: Database, statement: str, parameters: Any) -> dict[str, Any]:
    """PostgreSQL's plan. The statement is not carried out."""
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


def whole(node: dict[str, Any], partial: set[str]) -> list[str]:
    """Tables that grow and are read from their first row to the last, in order or by a whole index. ``partial``: indexes that are small."""
    mine = node.get("Relation Name")
    by_index = node["Node Type"] in ("Index Scan", "Index Only Scan") and node.get("Index Name") not in partial
    # Without a condition the index only gives the order; where rows are thrown away on the way, it may go on to the end.
    through = node["Node Type"] == "Seq Scan" or (by_index and "Index Cond" not in node and "Filter" in node and node["Plan Rows"] < 1_000)
    found = [mine] if through and mine in GROWING else []
    return found + [table for child in node.get("Plans", ()) for table in whole(child, partial)]
