"""Counts for the status page and the metrics: one short transaction, no patient data, the same cost for any number of rows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from core.policy.completeness import MOVED
from core.policy.routes.routing import UNREADABLE_REASON
from db import counters
from db.anchor.anchor_state import AnchorState, read_state
from db.counters import Counters
from db.engine import Database
from db.operations import alerts
from db.operations.alerts import Alert
from db.operations.pauses import JOB_NOT_PAUSED
from db.roles.heartbeats import Heartbeat

HEARTBEAT_HORIZON_S = 600.0  # processes without a heartbeat for so long are not listed
UNREACHABLE = "away_s:"  # prefix of a destination's name in a sender's heartbeat: for how many seconds it has been unreachable

# Every count reads an index of rows under way, never of finished rows, because metrics are scraped every few seconds for years.
_COUNTS = text("""
    SELECT node_now() AS at,
           (SELECT coalesce(sum(held), 0) FROM units WHERE state = 'open') AS instances_open,
           (SELECT count(*) FROM instances WHERE state = 'undecided') AS undecided,
           (SELECT count(*) FROM units WHERE state = 'open') AS units_open,
           (SELECT count(*) FROM units WHERE state = 'open' AND reason <> '') AS units_unreadable,
           (SELECT count(*) FROM associations WHERE closed_at IS NULL) AS associations_open,
           (SELECT count(*) FROM outbox WHERE published_at IS NULL) AS outbox_backlog,
           greatest((SELECT extract(epoch FROM node_now() - min(created_at)) FROM deliveries WHERE state = 'pending'),
                    (SELECT extract(epoch FROM node_now() - min(created_at)) FROM deliveries WHERE state = 'sending')) AS oldest_delivery_s,
           (SELECT count(*) FROM notifications WHERE state = 'pending') AS notifications_waiting,
           (SELECT count(*) FROM audit_events WHERE chain_seq IS NULL) AS audit_unchained
""")
# A job of a paused route is waiting, but its age is no sign of a problem.
_QUEUED = text(f"""
    SELECT j.priority, count(*) AS waiting,
           greatest(0, extract(epoch FROM node_now() - min(j.queued_at) FILTER (WHERE {JOB_NOT_PAUSED})))::float8 AS oldest_s
    FROM jobs j WHERE j.state = 'queued' GROUP BY j.priority
""")
# Of the last day, which an index finds. The reasons of other units than these are in `rules unrouted`.
_WITHOUT_JOB = text("""
    SELECT CASE WHEN evidence->>'rule' = :moved THEN 'moved' WHEN starts_with(reason, :unreadable) THEN 'unreadable'
                ELSE 'no_route' END AS cause, count(*) AS units
    FROM units WHERE state = 'complete' AND outcome IS NOT NULL AND completed_at > node_now() - interval '1 day' GROUP BY cause
""")
CAUSES_WITHOUT_JOB = ("moved", "no_route", "unreadable")
_HEARTBEATS = text("""
    SELECT role, name, at, greatest(0, extract(epoch FROM node_now() - at)) AS age_s, details FROM heartbeats
    WHERE at > node_now() - make_interval(secs => :horizon) ORDER BY role, name
""")


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """Number of queued jobs of one priority, and the age of the oldest in seconds."""

    waiting: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Counts at one moment of the database's clock.

    ``instances``: current contents. ``units_unreadable``: of the open units those whose images cannot be read now.
    ``oldest_*_s``: ages in seconds, 0 when nothing waits. ``deliveries``: destination -> state -> count. ``queues``: by priority.
    ``counters``: see `db.counters`. ``without_job``: units that ended in the last day without a job, by cause. ``anchor``: the last anchor
    of the audit trail.
    ``heartbeats``: every process with a heartbeat in the last ten minutes.
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
    notifications_waiting: int = 0
    queues: Mapping[str, QueueStatus] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    counters: Counters = field(default_factory=dict)
    without_job: Mapping[str, int] = field(default_factory=dict)
    anchor: AnchorState | None = None
    units_unreadable: int = 0

    @property
    def away_s(self) -> Mapping[str, float]:
        """Destination -> seconds for which it has been unreachable, by the latest heartbeat of a sender; 0 while it is reachable."""
        found: dict[str, float] = {}
        for beat in sorted(self.heartbeats, key=lambda beat: -beat.age_s):
            if beat.role == "send":
                found |= {key.removeprefix(UNREACHABLE): float(value) for key, value in beat.details.items() if key.startswith(UNREACHABLE)}
        return found


def node_status(database: Database) -> NodeStatus:
    """Return all counts, from one snapshot.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        row = connection.execute(_COUNTS).one()
        queues = {queue.priority: QueueStatus(int(queue.waiting), queue.oldest_s) for queue in connection.execute(_QUEUED)}
        ended = connection.execute(_WITHOUT_JOB, {"moved": MOVED, "unreadable": UNREADABLE_REASON})
        without_job = {row.cause: int(row.units) for row in ended}
        counted = counters.read(connection)
        anchor = read_state(connection)
        current = alerts.read_alerts(connection)
        beats = tuple(
            Heartbeat(beat.role, beat.name, beat.at, float(beat.age_s), dict(beat.details))
            for beat in connection.execute(_HEARTBEATS, {"horizon": HEARTBEAT_HORIZON_S})
        )
    deliveries: dict[str, dict[str, int]] = {}
    for (destination, state), held in sorted(counted.get("deliveries", {}).items()):
        if held:
            deliveries.setdefault(destination, {})[state] = int(held)

    def total(name: str) -> int:
        """Return a count that has no labels."""
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
        notifications_waiting=int(row.notifications_waiting),
        queues=queues,
        alerts=current,
        counters=counted,
        without_job=without_job,
        anchor=anchor,
        units_unreadable=int(row.units_unreadable),
    )
