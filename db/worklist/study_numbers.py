"""Finds the numbers of the studies of one page of the worklist.

They are looked for among the `RECENT` newest studies, where a filter that many studies pass fills the page; where it does not, few studies
pass, and the indexes of what is asked find them. A finding, an outcome, a verdict, and units without a route are looked for among the
newest units that have it: `_CANDIDATES`.
"""

from typing import Any

from sqlalchemy import Connection, text

RECENT, MOST_RECENT = 1000, 6000
CANDIDATES = 150  # a page has 50

# Pages of an index that are read one by one cost little: what people look at is in memory.
_IN_MEMORY = text("SET LOCAL random_page_cost = 1.1")
_NEWEST = "SELECT st.id FROM studies st {where} ORDER BY st.id DESC LIMIT :limit"
_AMONG_RECENT = """
    SELECT st.id FROM (SELECT * FROM studies WHERE CAST(:before AS bigint) IS NULL OR id < :before ORDER BY id DESC LIMIT :recent) st
    {where} ORDER BY st.id DESC LIMIT :limit
"""
# Materialised, so that the order of the page does not make the planner read all studies from the newest on.
_ALL = "WITH found AS MATERIALIZED (SELECT st.id FROM studies st {where}) SELECT id FROM found ORDER BY id DESC LIMIT :limit"
# The units that passed one condition most recently, where an index gives them in that order, each with the time at which it was known.
_NEWEST_UNITS = {
    "finding": """SELECT j.unit_id, j.queued_at AS at FROM (
            SELECT DISTINCT job_id FROM findings WHERE tier = :tier AND label = :finding ORDER BY job_id DESC LIMIT :most) AS f
        JOIN jobs j ON j.id = f.job_id""",
    "given": """SELECT j.unit_id, j.queued_at AS at FROM (SELECT DISTINCT job_id FROM verdicts ORDER BY job_id DESC LIMIT :most) AS v
        JOIN jobs j ON j.id = v.job_id""",
    "outcome": "SELECT unit_id, queued_at AS at FROM jobs WHERE outcome = :outcome ORDER BY id DESC LIMIT :most",
    "not_routed": """SELECT id AS unit_id, completed_at AS at FROM units WHERE state = 'complete' AND outcome IS NOT NULL
        ORDER BY completed_at DESC LIMIT :most""",
}
# The studies of these units. No other study with a number above ``complete_above`` passes: its units are older than these, so it was
# received before the oldest of these times. Numbers follow the times but for transactions at the same moment.
_CANDIDATES = """
    WITH newest AS MATERIALIZED ({newest}),
    before AS (
        SELECT max(id) AS id FROM (
            SELECT id FROM studies WHERE first_received_at <= (SELECT min(at) FROM newest)
            ORDER BY first_received_at DESC LIMIT 200) AS received)
    SELECT array_agg(DISTINCT se.study_id) AS ids,
           CASE WHEN (SELECT count(*) FROM newest) < :most THEN 0 ELSE (SELECT coalesce(id, 0) FROM before) END AS complete_above
    FROM newest n JOIN units u ON u.id = n.unit_id JOIN series se ON se.id = u.series_id
"""


def find_numbers(connection: Connection, where: str, values: dict[str, Any], *, recent: bool, kind: str) -> list[int]:
    """Return the numbers of the studies of a page.

    Parameters
    ----------
    where, values
        The conditions, and what they name; also ``limit``, and ``before`` or None.
    recent
        Look among the newest studies first.
    kind
        The condition of `_NEWEST_UNITS` by which the first page is looked for before that; "" for none.
    """
    if not recent:
        return list(connection.execute(text(_NEWEST.format(where=where)), values).scalars())
    connection.execute(_IN_MEMORY)
    among, limit = RECENT, values["limit"]
    if kind and (found := _among_candidates(connection, where, values, kind)) is not None:
        return found
    while among <= MOST_RECENT:
        found = list(connection.execute(text(_AMONG_RECENT.format(where=where)), {**values, "recent": among}).scalars())
        if len(found) == limit:
            return found
        among = max(2 * among, 2 * among * limit // (len(found) or 1))  # so many that the page will probably be full
    return list(connection.execute(text(_ALL.format(where=where)), values).scalars())


def _among_candidates(connection: Connection, where: str, values: dict[str, Any], kind: str) -> list[int] | None:
    """Return the first page, where the newest units that pass one of its conditions are enough to find it; else None."""
    limit, statement = values["limit"], text(_CANDIDATES.format(newest=_NEWEST_UNITS[kind]))
    newest = connection.execute(statement, {**values, "most": CANDIDATES}).one()
    candidates = sorted((id for id in newest.ids or () if id > newest.complete_above), reverse=True)
    if newest.complete_above and len(candidates) < limit:
        return None
    only = f"{where} AND st.id = ANY(:candidates)"
    found = list(connection.execute(text(_NEWEST.format(where=only)), {**values, "candidates": candidates}).scalars())
    return found if len(found) == limit or not newest.complete_above else None
