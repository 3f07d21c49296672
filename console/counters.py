"""Counters and histograms of /metrics, from the tallies that the database keeps: they outlive every process."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from db.counters import DWELL_BOUNDS, Labels, Tallies

# Name of the tally, of the metric, what it says, its labels.
_COUNTERS = (
    ("received", "received", "Answers to C-STORE by kind: stored, out_of_resources, mismatch, not_understood, refused", ("answer",)),
    ("received_bytes", "received_bytes", "Bytes of the data sets that were stored", ()),
    ("outcomes", "outcomes", "Results by model and outcome, shadows left out", ("model", "outcome")),
    ("attempts", "attempts", "Attempts at jobs that ended, by model and how", ("model", "result")),
    ("sendings", "sendings", "Attempts to send an object that ended, by destination and how", ("destination", "result")),
    ("alerts", "alerts", "Times that something began to be wrong, by kind", ("kind",)),
    ("notifications", "notices", "Notices that the webhook took (sent) or never took (failed)", ("result",)),
    ("removed", "removed", "Images, results, records and strays that retention let go", ("what",)),
    ("removed_bytes", "removed_bytes", "Bytes that retention let go", ()),
)
DWELL = "Seconds from the last image of a unit to its result: until reported (made), delivered (at every destination)"


def counters(tallies: Tallies) -> Iterator[Metric]:
    """Every counter, and the histograms."""
    for tally, name, text, labels in _COUNTERS:
        family = CounterMetricFamily(f"dicom_node_{name}", text, labels=labels)
        counted = tallies.get(tally, {})
        for values, amount in sorted(counted.items()) if counted or labels else [((), 0.0)]:
            family.add_metric(values, amount)
        yield family
    yield _dwell(tallies.get("dwell", {}), tallies.get("dwell_sum", {}))


def _dwell(counts: Mapping[Labels, float], sums: Mapping[Labels, float]) -> Metric:
    """``counts``: (until, upper bound) -> how many fell between it and the bound below; Prometheus wants them added up."""
    family = HistogramMetricFamily("dicom_node_dwell_seconds", DWELL, labels=("until",))
    for until in sorted({until for until, _ in counts}):
        found = {bound: amount for (name, bound), amount in counts.items() if name == until}
        added_up = accumulate(found.get(bound, 0.0) for bound in DWELL_BOUNDS)
        bounds = [bound if bound == "+Inf" else str(float(bound)) for bound in DWELL_BOUNDS]
        family.add_metric((until,), buckets=list(zip(bounds, added_up, strict=True)), sum_value=sums.get((until,), 0.0))
    return family
