"""The counts that the status page and the metrics show: one short transaction, no patient data."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db.base import Database
from db.records import Heartbeat

HEARTBEAT_HORIZON_S = 600.0  # older processes are history, not state
AWAY = "away_s:"  # a sender's heartbeat has this, before a destination's name: for how long it has been away

# Sums over units, not over instances: a hundred times fewer rows, and a scrape comes every few seconds.
_COUNTS = text("""
    SELECT node_now() AS at,
           (SELECT coalesce(sum(held), 0) FROM units) AS instances,
           (SELECT count(*) FROM instances WHERE state = 'undecided') AS undecided,
           (SELECT count(*) FROM units WHERE state = 'open') AS units_open,
           (SELECT count(*) FROM associations WHERE closed_at IS NULL) AS associations_open,
           (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox_backlog,
           (SELECT extract(epoch FROM node_now() - min(queued_at)) FROM jobs WHERE state = 'queued') AS oldest_queued_s,
           (SELECT extract(epoch FROM node_now() - min(created_at)) FROM deliveries
            WHERE state IN ('pending', 'sending')) AS oldest_delivery_s,
           (SELECT count(*) FROM audit_events WHERE chain_seq IS NULL) AS audit_unchained,
           (SELECT count(*) FROM quarantine) AS quarantine_items,
           (SELECT coalesce(sum(size_bytes), 0) FROM quarantine) AS quarantine_bytes
""")
_JOBS = text("SELECT state, count(*) AS held FROM jobs GROUP BY state ORDER BY state")
_DELIVERIES = text("SELECT destination, state, count(*) AS held FROM deliveries GROUP BY destination, state ORDER BY destination, state")
_HEARTBEATS = text("""
    SELECT role, name, at, greatest(0, extract(epoch FROM node_now() - at)) AS age_s, details FROM heartbeats
    WHERE at > node_now() - make_interval(secs => :horizon) ORDER BY role, name
""")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How many of what, at one moment of the database's clock.

    ``instances`` are the current contents; ``oldest_*_s`` are ages in seconds, 0 when nothing waits.
    ``deliveries``: destination -> state -> count.
    ``heartbeats``: every process heard of within ten minutes, ages in seconds.
    """

    at: datetime
    instances: int
    undecided: int
    units_open: int
    associations_open: int
    outbox_backlog: int
    oldest_queued_s: float
    oldest_delivery_s: float
    audit_unchained: int
    quarantine_items: int
    quarantine_bytes: int
    jobs: Mapping[str, int]
    deliveries: Mapping[str, Mapping[str, int]]
    heartbeats: tuple[Heartbeat, ...]

    @property
    def away_s(self) -> Mapping[str, float]:
        """Destination -> seconds since it went away, as the youngest sender has it; 0 while it is there."""
        found: dict[str, float] = {}
        for beat in sorted(self.heartbeats, key=lambda beat: -beat.age_s):
            if beat.role == "send":
                found |= {key.removeprefix(AWAY): float(value) for key, value in beat.details.items() if key.startswith(AWAY)}
        return found


def node_status(database: Database) -> NodeStatus:
    """Count everything, in one transaction of one snapshot.

    Raises
    ------
    StorageError
        The database is out of reach.
    """
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        row = connection.execute(_COUNTS).one()
        jobs = {job.state: int(job.held) for job in connection.execute(_JOBS)}
        deliveries: dict[str, dict[str, int]] = {}
        for delivery in connection.execute(_DELIVERIES):
            deliveries.setdefault(delivery.destination, {})[delivery.state] = int(delivery.held)
        beats = tuple(
            Heartbeat(beat.role, beat.name, beat.at, float(beat.age_s), dict(beat.details))
            for beat in connection.execute(_HEARTBEATS, {"horizon": HEARTBEAT_HORIZON_S})
        )
    return NodeStatus(
        at=row.at,
        instances=int(row.instances),
        undecided=int(row.undecided),
        units_open=int(row.units_open),
        associations_open=int(row.associations_open),
        outbox_backlog=int(row.outbox_backlog),
        oldest_queued_s=float(row.oldest_queued_s or 0),
        oldest_delivery_s=float(row.oldest_delivery_s or 0),
        audit_unchained=int(row.audit_unchained),
        quarantine_items=int(row.quarantine_items),
        quarantine_bytes=int(row.quarantine_bytes),
        jobs=jobs,
        deliveries=deliveries,
        heartbeats=beats,
    )
