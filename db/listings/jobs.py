"""Lists jobs."""

from collections.abc import Sequence
from typing import Any

from core.states import JobState
from db.listings.reader import Reader, json_row

_LIST = """
    SELECT * FROM v_jobs WHERE (CAST(%(state)s AS text) IS NULL OR job_state = %(state)s)
      AND (CAST(%(before)s AS bigint) IS NULL OR job_id < %(before)s) ORDER BY job_id DESC LIMIT %(limit)s
"""
# The condition on the state beside that of the list lets the planner take the index of jobs under way.
_BY_STATE = """
    SELECT j.* FROM unnest(CAST(%(states)s AS text[])) WITH ORDINALITY AS wanted (state, place) CROSS JOIN LATERAL (
        SELECT * FROM v_jobs WHERE job_state = wanted.state AND job_state NOT IN ('delivered', 'superseded')
        ORDER BY job_id DESC LIMIT %(limit)s) AS j
    ORDER BY wanted.place, j.job_id DESC
"""


def list_jobs(reader: Reader, *, state: JobState | str | None = None, before: int | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return rows of v_jobs as JSON objects, the newest first; ``before`` continues behind the job with this number."""
    values = {"state": None if state is None else str(state), "before": before, "limit": limit}
    return [json_row(row) for row in reader.read(_LIST, values)]


def list_jobs_under_way(reader: Reader, states: Sequence[JobState], *, limit: int) -> dict[JobState, list[dict[str, Any]]]:
    """Return up to ``limit`` rows of v_jobs for each of ``states`` as JSON objects, the newest first.

    Of delivered and superseded jobs it returns none.
    """
    found: dict[JobState, list[dict[str, Any]]] = {state: [] for state in states}
    for row in reader.read(_BY_STATE, {"states": [state.value for state in states], "limit": limit}):
        found[JobState(row["job_state"])].append(json_row(row))
    return found
