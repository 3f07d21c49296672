"""Finds in which time the newest rows of `v_findings` lie that pass conditions.

The view reads deliveries and inputs for each of its rows. Without limits in time PostgreSQL does so for every finding before it sorts
them: for a million findings that takes minutes. Here no column is asked for but the time, so that nothing else is read.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

FIRST_JOBS, GROWTH = 50, 8

_QUEUED_AT = text("SELECT queued_at FROM jobs ORDER BY queued_at DESC OFFSET :jobs LIMIT 1")


def newest_part(connection: Connection, where: str, values: Mapping[str, Any], *, limit: int, skip: int) -> tuple[str, dict[str, Any]]:
    """Return ``where`` with limits in time for ``limit`` rows behind the first ``skip``; and the values, with a smaller ``skip``.

    Where fewer rows pass than are asked for, nothing is limited.
    """
    if where and not _holds(connection, where, values, skip + limit):
        return where, {"skip": skip}
    part, more, last = _recent(connection, where, values, skip + limit - 1)
    first = _time_of_row(connection, part, {**values, **more, "place": skip}) if skip else None
    for operator, name, bound in (("<=", "newest_until", first), (">=", "newest_since", last)):
        if bound is not None:
            where, more[name] = _and(where, f"recorded_at {operator} :{name}"), bound
    later = text(f"SELECT count(*) FROM v_findings {_and(part, 'recorded_at > :bound')}")
    skipped = 0 if first is None else connection.execute(later, {**values, **more, "bound": first}).scalar_one()
    return where, {**more, "skip": skip - skipped}


def _recent(connection: Connection, where: str, values: Mapping[str, Any], place: int) -> tuple[str, dict[str, Any], Any]:
    """Return ``where`` limited to the newest jobs among which ``place`` rows and one more pass, and the time of the row at that place.

    Where fewer pass at all, ``where`` is unchanged and there is no time.
    """
    part = _and(where, "recorded_at >= :recent")
    jobs = FIRST_JOBS
    while (recent := connection.execute(_QUEUED_AT, {"jobs": jobs}).scalar_one_or_none()) is not None:
        if (at := _time_of_row(connection, part, {**values, "recent": recent, "place": place})) is not None:
            return part, {"recent": recent}, at
        jobs *= GROWTH
    return where, {}, _time_of_row(connection, where, {**values, "place": place})


def _holds(connection: Connection, where: str, values: Mapping[str, Any], needed: int) -> bool:
    """Return whether ``needed`` rows pass; the view is not read further than that."""
    count = text(f"SELECT count(*) FROM (SELECT FROM v_findings {where} LIMIT :needed) AS found")
    return bool(connection.execute(count, {**values, "needed": needed}).scalar_one() == needed)


def _time_of_row(connection: Connection, where: str, values: Mapping[str, Any]) -> Any:
    statement = text(f"SELECT recorded_at FROM v_findings {where} ORDER BY recorded_at DESC OFFSET :place LIMIT 1")
    return connection.execute(statement, values).scalar_one_or_none()


def _and(where: str, condition: str) -> str:
    return f"{where} {'AND' if where else 'WHERE'} {condition}"
