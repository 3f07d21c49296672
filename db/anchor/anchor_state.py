"""The last anchor as a row of the database: what status page, metrics and alerts show. Proof is the file of the anchors, never this row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from db.engine import Database

_KEEP = text("""
    INSERT INTO audit_anchor (one, number, hash, problem) VALUES (true, :number, :hash, :problem)
    ON CONFLICT (one) DO UPDATE SET number = excluded.number, hash = excluded.hash, problem = excluded.problem, checked_at = node_now(),
        anchored_at = CASE WHEN audit_anchor.number = excluded.number THEN audit_anchor.anchored_at ELSE node_now() END
""")
_PROBLEM = text("""
    INSERT INTO audit_anchor (one, number, hash, problem) VALUES (true, 0, :hash, :problem)
    ON CONFLICT (one) DO UPDATE SET problem = excluded.problem
""")
_SENT = text("""
    UPDATE audit_anchor SET recipients = jsonb_set(recipients, ARRAY[CAST(:recipient AS text)],
        CASE WHEN CAST(:problem AS text) = '' THEN jsonb_build_object('at', node_now())
             ELSE coalesce(recipients -> :recipient, '{}') || jsonb_build_object('problem', CAST(:problem AS text)) END)
""")
_READ = text("""
    SELECT number, hash, anchored_at, checked_at, problem, recipients, extract(epoch FROM node_now() - checked_at)::float8 AS age_s
    FROM audit_anchor
""")
_HEAD_NUMBER = text("SELECT coalesce(max(chain_seq), 0) FROM audit_events")


@dataclass(frozen=True, slots=True)
class AnchorState:
    """The last anchor as the database knows it: for people to look at, not a proof.

    ``age_s``: seconds since chain and anchor were compared last. ``recipients``: recipient -> ``at``, ``problem``.
    """

    number: int
    hash: str
    anchored_at: datetime
    checked_at: datetime
    problem: str
    recipients: Mapping[str, Mapping[str, str]]
    age_s: float


def keep_state(connection: Connection, number: int, value: str, problem: str) -> None:
    """Record the last anchor, and why the chain does not fit it ("" where it fits), in the caller's transaction."""
    connection.execute(_KEEP, {"number": number, "hash": value, "problem": problem})


def record_problem(database: Database, problem: str) -> None:
    """Record why no anchor can be written. The last anchor, and when it was compared, stay as they are."""
    with database.begin() as connection:
        connection.execute(_PROBLEM, {"problem": problem, "hash": "0" * 64})


def record_sent(database: Database, recipient: str, problem: str = "") -> None:
    """Record that a recipient took the last anchor, or why it did not."""
    with database.begin() as connection:
        connection.execute(_SENT, {"recipient": recipient, "problem": problem})


def events_since_anchor(database: Database) -> int:
    """Return how many events were linked to the chain since the last anchor."""
    with database.begin() as connection:
        state = read_state(connection)
        return int(connection.execute(_HEAD_NUMBER).scalar_one()) - (state.number if state is not None else 0)


def read_state(connection: Connection) -> AnchorState | None:
    """Return the last anchor as the database knows it, in the caller's transaction; None before the first one."""
    row = connection.execute(_READ).one_or_none()
    return None if row is None else AnchorState(*row)


def last_anchor(database: Database) -> AnchorState | None:
    """Return the last anchor as the database knows it; None before the first one."""
    with database.begin() as connection:
        return read_state(connection)
