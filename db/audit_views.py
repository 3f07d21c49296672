"""The views ``v_*`` for people who ask without SQL: what they contain, and rows by simple conditions. Each query is an audit event."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from psycopg2.errors import QueryCanceled
from sqlalchemy import Connection, text
from sqlalchemy.exc import DataError, OperationalError

from core.errors import ConfigurationError
from db import audit
from db.engine import Database
from db.newest_findings import newest_part
from db.row_values import escape_like
from db.schema import VIEWS

SHOWN = 100
PAGE_ROWS = SHOWN + 1  # one more says whether there is a further page
MOST_SKIPPED = 100_000
MOST_EXPORTED = 100_000
MOST_CONDITIONS = 5
FETCH_ROWS = 500
QUERY_S, EXPORT_S = 30, 120

OPERATORS = {
    "is": "CAST({column} AS text) = :{value}",
    "is not": "CAST({column} AS text) IS DISTINCT FROM :{value}",
    "contains": "CAST({column} AS text) ILIKE :{value}",
    "at least": "{column} >= CAST(:{value} AS {type})",
    "at most": "{column} <= CAST(:{value} AS {type})",
    "is empty": "({column} IS NULL OR CAST({column} AS text) = '' OR :{value} IS NULL)",
}
_NEWEST_FIRST = {
    "v_audit": "event_id DESC", "v_jobs": "job_id DESC", "v_deliveries": "delivery_id DESC",
    "v_findings": "recorded_at DESC, job_id DESC, ordinal",
}  # fmt: skip
_STUDIES = text("SELECT id FROM studies WHERE study_instance_uid = ANY(:uids) ORDER BY id")
_COLUMNS = text("""
    SELECT c.relname AS view, coalesce(obj_description(c.oid), '') AS view_comment, a.attname AS name,
           format_type(a.atttypid, a.atttypmod) AS type, coalesce(col_description(a.attrelid, a.attnum), '') AS comment
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' AND c.relname = ANY(:views) ORDER BY c.relname, a.attnum
""")


@dataclass(frozen=True, slots=True)
class ViewColumn:
    """One column of a view, with its type in PostgreSQL and what it means."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True, slots=True)
class ViewDescription:
    """One view and what a row of it is."""

    name: str
    comment: str
    columns: tuple[ViewColumn, ...]


@dataclass(frozen=True, slots=True)
class ViewCondition:
    """A column, an operator of `OPERATORS`, and the value that a person has typed."""

    column: str
    operator: str
    value: str = ""


def describe_views(database: Database) -> dict[str, ViewDescription]:
    """Return the views by name, from the comments of the catalogue. They are read once: only an upgrade changes them."""
    found = _DESCRIBED.get(database)
    if found is None:
        with database.begin() as connection:
            found = _DESCRIBED[database] = _describe(connection)
    return found


_DESCRIBED: "WeakKeyDictionary[Database, dict[str, ViewDescription]]" = WeakKeyDictionary()


def _describe(connection: Connection) -> dict[str, ViewDescription]:
    rows = list(connection.execute(_COLUMNS, {"views": list(VIEWS)}))
    return {
        view: ViewDescription(view, comment, tuple(ViewColumn(row.name, row.type, row.comment) for row in rows if row.view == view))
        for view, comment in {row.view: row.view_comment for row in rows}.items()
    }


def query_view(
    database: Database, view: str, conditions: Sequence[ViewCondition], *, limit: int, skip: int = 0, actor: str, address: str
) -> Iterator[Any]:
    """Yield up to ``limit`` rows of a view that pass every condition, the newest first, without the first ``skip``.

    The audit event names view and columns, not the values: they may identify a patient.

    Raises
    ------
    ConfigurationError
        There is no such view, column or operator, a value does not fit the type of its column, or the query takes longer than `QUERY_S`
        (`EXPORT_S` where more rows than a page are asked for).
    """
    found = describe_views(database).get(view)
    if found is None:
        raise ConfigurationError(f"there is no view {view}", hint=", ".join(VIEWS))
    where, values = _where(found, conditions)
    values |= {"limit": limit, "skip": skip}
    details = {"from": address, "columns": [condition.column for condition in conditions], "skip": skip, "limit": limit}
    audit.record_now(database, actor=actor, action="view.queried", subject=f"view:{view}", details=details)
    seconds = QUERY_S if limit <= PAGE_ROWS else EXPORT_S
    order = _NEWEST_FIRST.get(view, f'"{found.columns[0].name}" DESC')
    with database.begin() as connection:
        connection.execute(text(f"SET TRANSACTION READ ONLY; SET LOCAL statement_timeout = '{seconds}s'; SET LOCAL random_page_cost = 1.1"))
        try:
            if view == "v_findings":
                where, more = newest_part(connection, where, values, limit=limit, skip=skip)
                values |= more
            statement = text(f'SELECT * FROM "{view}" {where} ORDER BY {order} LIMIT :limit OFFSET :skip')
            if limit > PAGE_ROWS:  # a page is read at once: a cursor of the server costs two more round trips
                connection = connection.execution_options(yield_per=FETCH_ROWS)
            yield from connection.execute(statement, values)
        except DataError as error:
            raise ConfigurationError("a value does not fit its column", hint="times are written as 2026-01-31") from error
        except OperationalError as error:
            if not isinstance(error.orig, QueryCanceled):
                raise
            hint = "narrow it to one patient or study, or to a time with at least and at most"
            raise ConfigurationError(f"the query took longer than {seconds} s", hint=hint) from error


def record_shown(database: Database, view: str, rows: Sequence[Any], *, actor: str, address: str) -> None:
    """Record which studies the rows of a page of a view are about, so that the access report of their patients names it."""
    uids = sorted({str(row.study_instance_uid) for row in rows if hasattr(row, "study_instance_uid")})
    if uids:
        with database.begin() as connection:
            studies = list(connection.execute(_STUDIES, {"uids": uids}).scalars())
            details = {"from": address, "view": view, "studies": studies}
            audit.record(connection, actor=actor, action="view.shown", subject="worklist", details=details)


def _where(view: ViewDescription, conditions: Sequence[ViewCondition]) -> tuple[str, dict[str, Any]]:
    types = {column.name: column.type for column in view.columns}
    parts: list[str] = []
    values: dict[str, Any] = {}
    for number, condition in enumerate(conditions[:MOST_CONDITIONS]):
        if condition.column not in types or condition.operator not in OPERATORS:
            raise ConfigurationError(f"the view {view.name} has no such column, or the operator is unknown")
        name = f"value{number}"
        pattern = OPERATORS[condition.operator]
        parts.append(pattern.format(column=f'"{condition.column}"', value=name, type=types[condition.column]))
        values[name] = f"%{escape_like(condition.value)}%" if condition.operator == "contains" else condition.value
    return f"WHERE {' AND '.join(parts)}" if parts else "", values
