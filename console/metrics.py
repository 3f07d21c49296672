"""/metrics in the text format of Prometheus, read from the database at each scrape.

The values are therefore the same whichever processes run. They hold no patient data, no UIDs and no AE titles of peers.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from console.counters import counters
from console.health import NodeSnapshot
from core.policy.back_pressure import PAUSE_REASONS
from core.states import DeliveryState, JobState, Priority
from db.operations.status import CAUSES_WITHOUT_JOB, NodeStatus
from db.receive.backlog import PAUSED


class _Gauges:
    """Collector of one snapshot; prometheus-client calls it once, when the response is written."""

    def __init__(self, snapshot: NodeSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        snapshot = self._snapshot
        yield _gauge("ready", "1 when the node can receive, queue and store", float(snapshot.readiness.ready))
        yield _gauge("database_up", "1 when the database answers and has the schema of this version", float(snapshot.status is not None))
        if snapshot.free_bytes is not None:
            yield _gauge("disk_free_bytes", "Free bytes of the disk that holds the blobs", float(snapshot.free_bytes))
        if snapshot.total_bytes is not None:
            yield _gauge("disk_total_bytes", "Total bytes of the disk that holds the blobs", float(snapshot.total_bytes))
        if snapshot.status is not None:
            yield from _status_metrics(snapshot.status)
            yield from counters(snapshot.status.counters)


def _status_metrics(status: NodeStatus) -> Iterator[Metric]:
    yield _labelled("jobs", "Jobs by state", ("state",), _every_state(JobState, status.jobs))
    deliveries = GaugeMetricFamily("dicom_node_deliveries", "Deliveries by destination and state", labels=("destination", "state"))
    for destination, states in sorted(status.deliveries.items()):
        for state in DeliveryState:
            deliveries.add_metric((destination, state), states.get(state, 0))
    yield deliveries
    away = "Seconds since a destination became unreachable; 0 while it responds, or before the first attempt"
    yield _labelled("destination_away_seconds", away, ("destination",), status.away_s)
    yield _gauge("instances", "Instances stored, counting the current content of each", status.instances)
    yield _gauge("units_open", "Series and images that are not complete", status.units_open)
    yield _gauge("associations_open", "Open associations", status.associations_open)
    ended = {cause: float(status.without_job.get(cause, 0)) for cause in CAUSES_WITHOUT_JOB}
    yield _labelled("units_without_job", "Units that ended in the last 24 hours without a job, by cause", ("cause",), ended)
    yield _gauge("undecided", "Instances that arrived twice with different content, which is being compared", status.undecided)
    yield _gauge("outbox_backlog", "Wake-ups not yet published to the broker", status.outbox_backlog)
    yield _gauge("oldest_queued_seconds", "Age of the oldest queued job; 0 when none is queued", status.oldest_queued_s)
    yield _gauge("oldest_delivery_seconds", "Age of the oldest delivery that is not stored; 0 when there is none", status.oldest_delivery_s)
    waiting = {priority.value: status.queues[priority].waiting if priority in status.queues else 0 for priority in Priority}
    yield _labelled("queued_jobs", "Queued jobs by priority", ("priority",), waiting)
    ages = {priority.value: status.queues[priority].oldest_s if priority in status.queues else 0.0 for priority in Priority}
    yield _labelled("queue_age_seconds", "Age of the oldest queued job by priority; 0 when none is queued", ("priority",), ages)
    paused = {reason: float(any(a.kind == PAUSED and a.subject == reason for a in status.alerts)) for reason in PAUSE_REASONS}
    yield _labelled("receive_paused", "1 while receiving is paused, by reason", ("reason",), paused)
    yield _labelled("alerts_open", "Open alerts by kind", ("kind",), Counter(alert.kind for alert in status.alerts))
    yield _gauge("notifications_waiting", "Notifications not yet accepted by the webhook", status.notifications_waiting)
    yield _gauge("audit_unchained", "Audit events not yet in the hash chain", status.audit_unchained)
    anchor_age_s = status.anchor.age_s if status.anchor is not None else 0.0
    yield _gauge("audit_anchor_age_seconds", "Seconds since the audit trail was compared with its anchor; 0 before the first", anchor_age_s)
    yield _gauge("quarantine_items", "Data sets in quarantine", status.quarantine_items)
    yield _gauge("quarantine_bytes", "Bytes in quarantine", status.quarantine_bytes)
    # One value for each role, not for each process: names of processes change at each restart.
    latest: dict[str, float] = {}
    for beat in status.heartbeats:
        latest[beat.role] = min(beat.age_s, latest.get(beat.role, beat.age_s))
    yield _labelled("heartbeat_age_seconds", "Age of the latest heartbeat of each role", ("role",), latest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"dicom_node_{name}", text, value=value)


def _labelled(name: str, text: str, labels: tuple[str, ...], values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"dicom_node_{name}", text, labels=labels)
    for label, value in sorted(values.items()):
        family.add_metric((label,), value)
    return family


def _every_state(states: Iterable[str], counts: Mapping[str, int]) -> dict[str, float]:
    """Return a value for every state, 0 where there is none, so that an alert rule always has data."""
    return {str(state): float(counts.get(state, 0)) for state in states}


def render(snapshot: NodeSnapshot) -> bytes:
    """Return the text format of Prometheus for one snapshot of the node."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Gauges(snapshot))
    return generate_latest(registry)
