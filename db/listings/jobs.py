"""Lists jobs."""

from typing import Any

from core.states import JobState
from db.listings.reader import Reader, json_row

_LIST = """
    SELECT * FROM v_jobs WHERE (CAST(%(state)s AS text) IS NULL OR job_state = %(state)s)
      AND (CAST(%(before)s AS bigint) IS NULL OR job_id < %(before)s) ORDER BY job_id DESC LIMIT %(limit)s
"""


def list_jobs(reader: Reader, *, state: JobState | str | None = None, before: int | None = None, limit: int = 200) -> list[dict[str, Any]]:
    """Return rows of v_jobs as JSON objects, the newest first; ``before`` continues behind the job with this number."""
    values = {"state": None if state is None else str(state), "before": before, "limit": limit}
    return [json_row(row) for row in reader.read(_LIST, values)]
