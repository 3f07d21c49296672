"""Says why a job was not queued again or cancelled, or a delivery not sent again: a sentence for each, for the person who asked."""

from collections.abc import Collection, Sequence

from sqlalchemy import text

from db.engine import Database

_JOBS = text("""
    SELECT j.id, j.state, j.outcome, j.superseded_by, j.failure_state, j.revision <> u.revision AS outdated
    FROM jobs j JOIN units u ON u.id = j.unit_id WHERE j.id = ANY(:ids)
""")
_DELIVERIES = text("""
    SELECT d.id, d.state, j.state AS job_state FROM deliveries d JOIN jobs j ON j.id = d.job_id WHERE d.id = ANY(:ids)
""")


def job_refusals(database: Database, ids: Sequence[int], done: Collection[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, why the job was not queued again or cancelled."""
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(_JOBS, {"ids": list(ids)})}
    found = []
    for id in dict.fromkeys(ids):
        if id in done:
            continue
        row = rows.get(id)
        if row is None:
            found.append(f"there is no job {id}")
        elif row.superseded_by is not None:
            found.append(f"job {id} is superseded by job {row.superseded_by}")
        elif row.outdated:
            found.append(f"job {id} is of an older revision of its unit")
        elif row.state == "running" and row.failure_state is not None:
            found.append(f"the report that job {id} was not analysed is being made: try again in a moment")
        else:
            found.append(f"job {id} is {row.state}" + (f", with outcome {row.outcome}" if row.outcome else ""))
    return found


def delivery_refusals(database: Database, ids: Sequence[int], done: Collection[int]) -> list[str]:
    """Return, for each of ``ids`` that is not in ``done``, why the delivery was not sent again."""
    with database.begin() as connection:
        rows = {row.id: row for row in connection.execute(_DELIVERIES, {"ids": list(ids)})}
    found = []
    for id in dict.fromkeys(ids):
        if id in done:
            continue
        row = rows.get(id)
        if row is None:
            found.append(f"there is no delivery {id}")
        elif row.job_state == "superseded":
            found.append(f"delivery {id} is of a result that is superseded")
        else:
            found.append(f"delivery {id} is {row.state}")
    return found
