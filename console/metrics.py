"""/metrics: read from the database at every scrape, so that it says the same whichever processes there are.

No patient data, no UIDs, no AE titles of peers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from console.counters import counters
from console.health import Look
from core.policy.back_pressure import PAUSE_REASONS
from core.states import DeliveryState, JobState, Priority
from db.operations.status import NodeStatus
from db.receive.backlog import PAUSED


class _Gauges:
    """A collector over one look; prometheus-client asks it once, when the page is written."""

    def __init__(self, seen: Look) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        seen = self._seen
        yield _gauge("ready", "1 when the node can receive, queue and store", float(seen.readiness.ready))
        yield _gauge("database_up", "1 when the database answers and has the schema of this version", float(seen.status is not None))
        if seen.free_bytes is not None:
            yield _gauge("disk_free_bytes", "Bytes free where the blobs are", float(seen.free_bytes))
        if seen.total_bytes is not None:
            yield _gauge("disk_total_bytes", "Bytes of the disk where the blobs are", float(seen.total_bytes))
        if seen.status is not None:
            yield from _of_status(seen.status)
            yield from counters(seen.status.counters)


def _of_status(status: NodeStatus) -> Iterator[Metric]:
    yield _labelled("jobs", "Jobs by state", ("state",), _every_state(JobState, status.jobs))
    deliveries = GaugeMetricFamily("dicom_node_deliveries", "Deliveries by destination and state", labels=("destination", "state"))
    for destination, states in sorted(status.deliveries.items()):
        for state in DeliveryState:
            deliveries.add_metric((destination, state), states.get(state, 0))
    yield deliveries
    away = "Seconds since a destination went away; 0 while it is there, or has not been called"
    yield _labelled("destination_away_seconds", away, ("destination",), status.away_s)
    yield _gauge("instances", "Instances held, the current content of each", status.instances)
    yield _gauge("units_open", "Series and images that are not complete yet", status.units_open)
    yield _gauge("associations_open", "Associations open now", status.associations_open)
    yield _gauge("undecided", "Instances whose second content is being compared", status.undecided)
    yield _gauge("outbox_backlog", "Wake-ups not published to the broker yet", status.outbox_backlog)
    yield _gauge("oldest_queued_seconds", "Age of the oldest job that waits for a worker; 0 when none waits", status.oldest_queued_s)
    yield _gauge("oldest_delivery_seconds", "Age of the oldest delivery not stored yet; 0 when none waits", status.oldest_delivery_s)
    waiting = {priority.value: status.queues[priority].waiting if priority in status.queues else 0 for priority in Priority}
    yield _labelled("queued_jobs", "Jobs that wait for a worker, by priority", ("priority",), waiting)
    ages = {priority.value: status.queues[priority].oldest_s if priority in status.queues else 0.0 for priority in Priority}
    yield _labelled("queue_age_seconds", "Age of the oldest job that waits, by priority; 0 when none waits", ("priority",), ages)
    paused = {reason: float(any(a.kind == PAUSED and a.subject == reason for a in status.alerts)) for reason in PAUSE_REASONS}
    yield _labelled("receive_paused", "1 while nothing is taken, by reason", ("reason",), paused)
    yield _labelled("alerts_open", "What is wrong now, by kind", ("kind",), Counter(alert.kind for alert in status.alerts))
    yield _gauge("notices_waiting", "Notices that the webhook has not taken yet", status.notices_waiting)
    yield _gauge("audit_unchained", "Audit events behind the end of the hash chain", status.audit_unchained)
    yield _gauge("quarantine_items", "Data sets kept in quarantine", status.quarantine_items)
    yield _gauge("quarantine_bytes", "Bytes kept in quarantine", status.quarantine_bytes)
    # Instance names are process ids: the youngest process of a role is what counts, and the series stay few.
    youngest: dict[str, float] = {}
    for beat in status.heartbeats:
        youngest[beat.role] = min(beat.age_s, youngest.get(beat.role, beat.age_s))
    yield _labelled("heartbeat_age_seconds", "Age of the youngest heartbeat of each role", ("role",), youngest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dicom_node_{name}", text, value=value)


def _labelled(name: str, text: str, labels: tuple[str, ...], values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"dicom_node_{name}", text, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric((label,), value)
    return family


def _every_state(states: Iterable[str], counts: Mapping[str, int]) -> dict[str, float]:
    """A state that nothing is in shows as 0, so that an alert on it is never without data."""
    return {str(state): float(counts.get(state, 0)) for state in states}


def render(seen: Look) -> bytes:
    """The Prometheus text exposition of one look at the node."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(seen))
    return generate_latest(registry)
