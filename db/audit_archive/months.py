"""The parts of the audit trail: one table a month, made ahead, and the rows of `audit_months` that describe them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.engine import Database

ADD_MONTHS = text("SELECT public.audit_add_months()")
_MONTHS = text("""
    SELECT m.name, CASE WHEN isfinite(m.begins_at) THEN m.begins_at END AS begins_at, m.ends_at, m.archived_at, m.file, m.sha256, m.events,
           coalesce(pg_total_relation_size(to_regclass('public.audit_events_' || m.name)), 0) AS size_bytes
    FROM public.audit_months m ORDER BY m.ends_at
""")
_RUNS = text("SELECT runs FROM public.audit_months WHERE archived_at IS NOT NULL")


@dataclass(frozen=True, slots=True)
class AuditMonth:
    """A part of the audit trail: the events of the times from ``begins_at`` (None: from the first one on) to before ``ends_at``.

    ``archived_at``, ``file``, ``sha256`` and ``events``: None, "", "" and 0 while its events are in the database.
    """

    name: str
    begins_at: datetime | None
    ends_at: datetime
    archived_at: datetime | None
    file: str
    sha256: str
    events: int
    size_bytes: int  # of its table with its indexes; 0 where it is archived


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """A stretch of the hash chain that is in an archive: its numbers, the hash before its first event, and the hash of its last one."""

    first: int
    last: int
    before: str
    head: str


def add_months(database: Database) -> int:
    """Make the parts for this month and the next three; return how many were missing.

    Raises
    ------
    StorageError
        The database does not respond, or another connection reads the events of other times; both pass.
    """
    with database.begin() as connection:
        return int(connection.execute(ADD_MONTHS).scalar_one())


def list_months(database: Database) -> list[AuditMonth]:
    """Return every part, the oldest first."""
    with database.begin() as connection:
        return [AuditMonth(*row) for row in connection.execute(_MONTHS)]


def archived_runs(connection: Connection) -> Mapping[int, ArchivedRun]:
    """Return the archived stretches of the chain by their first number, in the caller's transaction."""
    found = (ArchivedRun(**run) for runs in connection.execute(_RUNS).scalars() for run in runs)
    return {run.first: run for run in found}
