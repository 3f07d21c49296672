"""The invariants that must hold after any fault. Each check yields a sentence for every violation."""

import hashlib
import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator

from db import audit
from tests.chaos.node_under_test import NodeUnderTest
from tests.chaos.study_generator import data_set_hash

# Work that is not in a final state.
UNFINISHED = {
    "open units": "SELECT count(*) FROM units WHERE state = 'open'",
    "unfinished jobs": "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'reported')",
    "failed jobs without a report": "SELECT count(*) FROM jobs WHERE failure_state IS NOT NULL",
    "unfinished deliveries": "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending') OR state = 'stored' AND commit_wanted",
    "unpublished wake-ups": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "open associations": "SELECT count(*) FROM associations WHERE closed_at IS NULL",
    "unchained audit events": "SELECT count(*) FROM audit_events WHERE chain_seq IS NULL",
}
_CURRENT = """
    SELECT u.id AS unit, j.id AS job, j.state, j.outcome, j.reason, st.study_instance_uid AS study,
        (SELECT count(*) FROM instances i WHERE i.unit_id = u.id AND i.state = 'current') AS held,
        (SELECT count(*) FROM job_inputs n JOIN instances i ON i.id = n.instance_id WHERE n.job_id = j.id AND i.state = 'current') AS seen
    FROM units u JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    LEFT JOIN jobs j ON j.unit_id = u.id AND j.state NOT IN ('superseded', 'cancelled') AND NOT j.shadow
"""
_DELIVERED = """
    SELECT d.destination, d.state, r.sop_instance_uid, r.kind, r.sha256, j.id AS job, j.state = 'superseded' AS superseded
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
"""


def unfinished_work(target: NodeUnderTest) -> dict[str, int]:
    """Return kind -> number of what is not in a final state."""
    counts = {what: target.number(statement) for what, statement in UNFINISHED.items()}
    counts["temporary files"] = len(list(target.temporary_files()))
    return {what: count for what, count in counts.items() if count}


def acknowledged(target: NodeUnderTest) -> Iterator[str]:
    """Every instance that was acknowledged with 0x0000 is in the index, and its data set is stored unchanged."""
    index = {
        row.sop_instance_uid: row.sha256 for row in target.rows("SELECT sop_instance_uid, sha256 FROM instances WHERE state = 'current'")
    }
    for uid, sha256 in target.acknowledged.items():
        if uid not in index:
            yield "an acknowledged instance is not in the index"
            continue
        content = target.read_blob(index[uid])
        if hashlib.sha256(content).hexdigest() != index[uid]:
            yield "the blob of an acknowledged instance is missing or altered"
        elif data_set_hash(content) != sha256:
            yield "the data set of an acknowledged instance was changed"


def one_result(target: NodeUnderTest) -> Iterator[str]:
    """Every complete unit has exactly one current result of all its instances, or a reason why there is none."""
    rows = target.rows(_CURRENT)
    for unit, times in Counter(row.unit for row in rows).items():
        if times > 1:
            yield f"unit {unit} has {times} current results"
    for row in rows:
        if row.job is None:
            yield f"unit {row.unit} has no result, although a route selects it"
        elif row.seen != row.held:
            yield f"unit {row.unit} has {row.held} instances, its result is of {row.seen}"
        elif row.outcome is None or (row.outcome == "not_analysed" and not row.reason):
            yield f"job {row.job} is {row.state} without an outcome or a reason"
        elif row.state == "quarantined" and row.outcome != "not_analysed":
            yield f"job {row.job} is quarantined but its outcome is {row.outcome}"
    if target.killer_inputs - {row.study for row in rows if row.state == "quarantined"}:
        yield "an input that kills every worker was not quarantined"


def delivered(target: NodeUnderTest) -> Iterator[str]:
    """Every report is at every destination exactly once, and nothing else is there."""
    rows = target.rows(_DELIVERED)
    jobs = {row.job for row in target.rows(_CURRENT) if row.job is not None}
    for destination in target.destinations:
        mine = [row for row in rows if row.destination == destination.title.lower()]
        current = Counter(row.job for row in mine if not row.superseded and row.kind == "sr")
        if set(current) != jobs or set(current.values()) - {1}:
            more = sum(current.values()) - len(current)
            yield f"{len(jobs - set(current))} current results have no report for {destination.title}, {more} have more than one"
        for row in mine:
            if row.state in ("stored", "committed") and row.sop_instance_uid not in destination.kept:
                yield f"a report that is {row.state} is not at {destination.title}"
            elif row.state not in ("stored", "committed") and not row.superseded:
                yield f"a report of a current result is {row.state} for {destination.title}"
        unknown = set(destination.seen) - {row.sop_instance_uid for row in mine}
        if unknown:
            yield f"{destination.title} has {len(unknown)} objects that the node does not know"
        if any(len(contents) > 1 for contents in destination.seen.values()):
            yield f"{destination.title} was sent different contents under one UID"


def chained(target: NodeUnderTest) -> Iterator[str]:
    """The audit chain is intact from its first event to its last."""
    found = audit.verify(target.database)
    if found.broken is not None or found.unchained:
        yield f"the audit chain is broken at {found.broken}, {found.unchained} events are not linked"


def nothing_unfinished(target: NodeUnderTest) -> Iterator[str]:
    """No work is unfinished, and no temporary file is left."""
    for what, count in unfinished_work(target).items():
        yield f"{what}: {count}"


def ready(target: NodeUnderTest) -> Iterator[str]:
    """The node can receive, queue and store."""
    with urllib.request.urlopen(f"{target.node.console}/readyz", timeout=600) as answer:
        if json.load(answer)["ready"] is not True:
            yield "the node is not ready"


CHECKS: dict[str, Callable[[NodeUnderTest], Iterator[str]]] = {
    "acknowledged instances are stored unchanged": acknowledged,
    "one current result or one reason": one_result,
    "every report at every destination once": delivered,
    "the audit chain is intact": chained,
    "nothing is unfinished, no temporary file is left": nothing_unfinished,
    "the node is ready": ready,
}


def violations(target: NodeUnderTest) -> dict[str, list[str]]:
    """Return the violations that each check found."""
    return {name: list(check(target)) for name, check in CHECKS.items()}
