"""What a transaction writes without asking for an answer, in one round trip: every one of them costs both ends more than most rows do."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from psycopg2.extensions import encodings
from sqlalchemy import Connection, Dialect, TextClause

Act = tuple[TextClause, Mapping[str, Any]]
"""A statement, and the values of its names."""


def together(connection: Connection, acts: Iterable[Act]) -> None:
    """Carry out all of them, in their order, within the caller's transaction; the first that fails ends it. None at all is fine."""
    cursor = connection.connection.cursor()
    try:
        statements = [cursor.mogrify(_written(statement, connection.dialect), values) for statement, values in acts]
        written = b"; ".join(statements).decode(encodings[cursor.connection.encoding])
    finally:
        cursor.close()
    if written:
        connection.exec_driver_sql(written, execution_options={"no_parameters": True})


@lru_cache(256)
def _written(statement: TextClause, dialect: Dialect) -> str:
    """As the driver takes it."""
    return str(statement.compile(dialect=dialect))
