"""Search in the audit trail, its export, and the verification of its chain by a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db import audit
from db.audit_filter import AuditFilter
from db.engine import Database

PAGE = 100
FETCH_ROWS = 500

_ACTIONS = text("""
    WITH RECURSIVE found (action) AS (
        (SELECT action FROM audit_events ORDER BY action LIMIT 1)
        UNION ALL SELECT (SELECT e.action FROM audit_events e WHERE e.action > found.action ORDER BY e.action LIMIT 1)
        FROM found WHERE found.action IS NOT NULL)
    SELECT action FROM found WHERE action IS NOT NULL
""")
_VERIFIED = text("""
    SELECT at, actor, details FROM audit_events WHERE subject = 'audit' AND action = 'audit.verified' ORDER BY id DESC LIMIT 1
""")


@dataclass(frozen=True, slots=True)
class Verification:
    """The last verification of the chain by a person: the chain was whole up to event ``chained``, or broken at event ``broken``.

    ``anchor`` is why it did not fit its anchors, or "".
    """

    at: datetime
    actor: str
    chained: int
    broken: int | None
    anchor: str = ""


def search_events(database: Database, wanted: AuditFilter, *, before: int | None = None, limit: int = PAGE) -> list[Any]:
    """Return up to ``limit`` events, the newest first; ``before`` continues behind the event with this number."""
    query, values = wanted.query(database, before=before)
    with database.begin() as connection:
        return list(connection.execute(text(f"{query} ORDER BY event_id DESC LIMIT :limit"), {**values, "limit": limit}))


def export_events(database: Database, wanted: AuditFilter, *, actor: str, address: str) -> Iterator[Any]:
    """Yield every event that passes, the oldest first. The export is an audit event itself."""
    query, values = wanted.query(database)
    hidden = {"patient_id", "actors"}  # the trail holds no patient identifier: its keyed reference stands for it
    shown = {name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in values.items() if name not in hidden}
    audit.record_now(database, actor=actor, action="audit.exported", subject="audit", details={"from": address, "filter": shown})
    with database.begin() as connection:
        yield from connection.execution_options(yield_per=FETCH_ROWS).execute(text(f"{query} ORDER BY event_id"), values)


def known_actions(database: Database) -> list[str]:
    """Return every action that the trail contains; one index probe for each."""
    with database.begin() as connection:
        return [str(action) for action in connection.execute(_ACTIONS).scalars()]


def verify_chain(database: Database, anchor_file: Path, public_key: Path, *, actor: str) -> audit.ChainCheck:
    """Walk the chain from its first event and compare it with its anchors; that it was done, and the result, is an audit event.

    Raises
    ------
    ConfigurationError
        There are anchors, and their public key cannot be read.
    StorageError
        The database or the file of the anchors is unavailable.
    """
    from db.anchor.verification import verify_with_anchors  # cryptography, which no other query needs

    found = verify_with_anchors(database, anchor_file, public_key)
    details = {"events": found.events, "chained": found.chained, "broken": found.broken, "anchor": found.anchor_problem}
    audit.record_now(database, actor=actor, action="audit.verified", subject="audit", details=details)
    return found


def last_verification(database: Database) -> Verification | None:
    """Return the last verification by a person; None where there was none."""
    with database.begin() as connection:
        row = connection.execute(_VERIFIED).one_or_none()
    return (
        None
        if row is None
        else Verification(row.at, row.actor, row.details["chained"], row.details["broken"], str(row.details.get("anchor", "")))
    )
