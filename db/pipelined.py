"""Executes several statements in one round trip.

A round trip costs client and server more than most of the rows that it writes.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from psycopg2.extensions import encodings
from sqlalchemy import Connection, Dialect, TextClause

Statement = tuple[TextClause, Mapping[str, Any]]
"""A statement, and the values of its parameters by name."""


def execute_pipelined(connection: Connection, statements: Iterable[Statement]) -> None:
    """Execute statements that return nothing, in their order, in the caller's transaction; the first error ends it.

    An empty list is allowed.
    """
    cursor = connection.connection.cursor()
    try:
        written = [cursor.mogrify(_compiled(statement, connection.dialect), values) for statement, values in statements]
        script = b"; ".join(written).decode(encodings[cursor.connection.encoding])
    finally:
        cursor.close()
    if script:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})


@lru_cache(256)
def _compiled(statement: TextClause, dialect: Dialect) -> str:
    """Return the statement with the driver's style of parameters."""
    return str(statement.compile(dialect=dialect))
