"""Counters and histograms of /metrics. The database keeps their values, so they outlive every process."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from db.counters import DWELL_BOUNDS, Counters, Labels

# Name of the counter in the database, name of the metric, help text, labels.
_COUNTERS = (
    ("received", "received", "Responses to C-STORE by kind: stored, out_of_resources, mismatch, not_understood, refused", ("answer",)),
    ("received_bytes", "received_bytes", "Bytes of stored data sets", ()),
    ("outcomes", "outcomes", "Results by model and outcome, without those of shadow models", ("model", "outcome")),
    ("attempts", "attempts", "Finished attempts at jobs by model and result", ("model", "result")),
    ("delivery_attempts", "delivery_attempts", "Finished delivery attempts by destination and result", ("destination", "result")),
    ("alerts", "alerts", "Alerts raised by kind", ("kind",)),
    ("notifications", "notifications", "Notifications that the webhook accepted (sent), or that failed permanently (failed)", ("result",)),
    ("removed", "removed", "Images, results, records and orphaned blobs deleted by retention", ("what",)),
    ("removed_bytes", "removed_bytes", "Bytes deleted by retention", ()),
)
DWELL_HELP = "Seconds from the last image of a unit until its result is reported (made) or delivered (to every destination)"


def counters(tallies: Counters) -> Iterator[Metric]:
    """Yield every counter and histogram."""
    for key, name, text, labels in _COUNTERS:
        family = CounterMetricFamily(f"dicom_node_{name}", text, labels=labels)
        counted = tallies.get(key, {})
        for values, amount in sorted(counted.items()) if counted or labels else [((), 0.0)]:
            family.add_metric(values, amount)
        yield family
    yield _dwell(tallies.get("dwell", {}), tallies.get("dwell_sum", {}))


def _dwell(counts: Mapping[Labels, float], sums: Mapping[Labels, float]) -> Metric:
    """Return the histogram of dwell times. ``counts``: number by (until, upper bound); Prometheus expects cumulative numbers."""
    family = HistogramMetricFamily("dicom_node_dwell_seconds", DWELL_HELP, labels=("until",))
    for until in sorted({until for until, _ in counts}):
        found = {bound: amount for (name, bound), amount in counts.items() if name == until}
        cumulative = accumulate(found.get(bound, 0.0) for bound in DWELL_BOUNDS)
        bounds = [bound if bound == "+Inf" else str(float(bound)) for bound in DWELL_BOUNDS]
        family.add_metric((until,), buckets=list(zip(bounds, cumulative, strict=True)), sum_value=sums.get((until,), 0.0))
    return family
