"""What the status page and the metrics show: one short transaction, no patient data, the same cost at any number of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from db import counters
from db.counters import Tallies
from db.engine import Database
from db.operations import alerts
from db.operations.alerts import Alert
from db.records import Heartbeat

HEARTBEAT_HORIZON_S = 600.0  # older processes are history, not state
AWAY = "away_s:"  # a sender's heartbeat has this, before a destination's name: for how long it has been away

# Everything here reads an index over what is under way, never over what is done: a scrape comes every few seconds, for years.
_COUNTS = text("""
    SELECT node_now() AS at,
           (SELECT coalesce(sum(held), 0) FROM units WHERE state = 'open') AS instances_open,
           (SELECT count(*) FROM instances WHERE state = 'undecided') AS undecided,
           (SELECT count(*) FROM units WHERE state = 'open') AS units_open,
           (SELECT count(*) FROM associations WHERE closed_at IS NULL) AS associations_open,
           (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox_backlog,
           greatest((SELECT extract(epoch FROM node_now() - min(created_at)) FROM deliveries WHERE state = 'pending'),
                    (SELECT extract(epoch FROM node_now() - min(created_at)) FROM deliveries WHERE state = 'sending')) AS oldest_delivery_s,
           (SELECT count(*) FROM notifications WHERE state = 'pending') AS notices_waiting,
           (SELECT count(*) FROM audit_events WHERE chain_seq IS NULL) AS audit_unchained
""")
_QUEUED = text("""
    SELECT priority, count(*) AS waiting, greatest(0, extract(epoch FROM node_now() - min(queued_at)))::float8 AS oldest_s
    FROM jobs WHERE state = 'queued' GROUP BY priority
""")
_HEARTBEATS = text("""
    SELECT role, name, at, greatest(0, extract(epoch FROM node_now() - at)) AS age_s, details FROM heartbeats
    WHERE at > node_now() - make_interval(secs => :horizon) ORDER BY role, name
""")


@dataclass(frozen=True, slots=True)
class Queue:
    """Jobs of one priority that wait for a worker, and the age of the oldest in seconds."""

    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How many of what, at one moment of the database's clock.

    ``instances`` are the current contents; ``oldest_*_s`` are ages in seconds, 0 when nothing waits.
    ``deliveries``: destination -> state -> count. ``queues``: by priority. ``counters``: see `db.counters`.
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
    notices_waiting: int = 0
    queues: Mapping[str, Queue] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    counters: Tallies = field(default_factory=dict)

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
        queues = {queue.priority: Queue(int(queue.waiting), queue.oldest_s) for queue in connection.execute(_QUEUED)}
        counted = counters.read(connection)
        wrong = alerts.read(connection)
        beats = tuple(
            Heartbeat(beat.role, beat.name, beat.at, float(beat.age_s), dict(beat.details))
            for beat in connection.execute(_HEARTBEATS, {"horizon": HEARTBEAT_HORIZON_S})
        )
    deliveries: dict[str, dict[str, int]] = {}
    for (destination, state), held in sorted(counted.get("deliveries", {}).items()):
        if held:
            deliveries.setdefault(destination, {})[state] = int(held)

    def total(name: str) -> int:
        return int(counted.get(name, {}).get((), 0))

    return NodeStatus(
        at=row.at,
        instances=total("instances") + int(row.instances_open),
        undecided=int(row.undecided),
        units_open=int(row.units_open),
        associations_open=int(row.associations_open),
        outbox_backlog=int(row.outbox_backlog),
        oldest_queued_s=max((queue.oldest_s for queue in queues.values()), default=0.0),
        oldest_delivery_s=max(0.0, float(row.oldest_delivery_s or 0)),
        audit_unchained=int(row.audit_unchained),
        quarantine_items=total("quarantine_items"),
        quarantine_bytes=total("quarantine_bytes"),
        jobs={state: int(held) for (state,), held in sorted(counted.get("jobs", {}).items()) if held},
        deliveries=deliveries,
        heartbeats=beats,
        notices_waiting=int(row.notices_waiting),
        queues=queues,
        alerts=wrong,
        counters=counted,
    )
