"""Sources whose series stay without a route, for the alert."""

from sqlalchemy import text

from core.policy.routes.routing import NO_ROUTE_REASON
from db.engine import Database

# Of the last day, which an index finds.
_UNROUTED = text("""
    SELECT source, count(*) FILTER (WHERE starts_with(reason, :no_route)) AS series
    FROM units WHERE state = 'complete' AND kind = 'series' AND completed_at > node_now() - interval '1 day'
    GROUP BY source
    HAVING bool_and(routes = '{}') AND count(*) FILTER (WHERE starts_with(reason, :no_route)) >= :least
""")


def unrouted_sources(database: Database, least: int) -> dict[str, int]:
    """Return source -> number of its series of the last 24 hours, where there are at least ``least`` and no route took any of them.

    Series that no route may take, such as localizers and results of this node, do not count.
    """
    with database.begin() as connection:
        rows = connection.execute(_UNROUTED, {"no_route": NO_ROUTE_REASON, "least": least})
        return {row.source: int(row.series) for row in rows}
