"""What must hold whatever was done to the node. Each check gives sentences that say what does not; none where all is well."""

import hashlib
import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator

from db import audit
from tests.chaos.studies import data_set_hash
from tests.chaos.ward import Ward

# What still goes on: everything else is at an end, good or bad.
RESTLESS = {
    "units that are open": "SELECT count(*) FROM units WHERE state = 'open'",
    "jobs under way": "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running', 'reported')",
    "reports owed": "SELECT count(*) FROM jobs WHERE failure_state IS NOT NULL",
    "deliveries under way": "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending') OR state = 'stored' AND commit_wanted",
    "wake-ups unpublished": "SELECT count(*) FROM outbox WHERE published_at IS NULL",
    "associations open": "SELECT count(*) FROM associations WHERE closed_at IS NULL",
    "audit events unchained": "SELECT count(*) FROM audit_events WHERE chain_seq IS NULL",
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


def restless(ward: Ward) -> dict[str, int]:
    """What still goes on, and how much of it."""
    counts = {what: ward.number(statement) for what, statement in RESTLESS.items()}
    counts["temporary files"] = len(list(_strays(ward)))
    return {what: count for what, count in counts.items() if count}


def acknowledged(ward: Ward) -> Iterator[str]:
    """Every instance acknowledged with 0x0000 is in the index and among the blobs, bit for bit."""
    held = {row.sop_instance_uid: row.sha256 for row in ward.rows("SELECT sop_instance_uid, sha256 FROM instances WHERE state = 'current'")}
    for uid, sha256 in ward.acknowledged.items():
        if uid not in held:
            yield "an acknowledged instance is not in the index"
            continue
        path = ward.data / "blobs" / held[uid][:2] / held[uid][2:4] / held[uid]
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != held[uid]:
            yield "the blob of an acknowledged instance is missing or altered"
        elif data_set_hash(content) != sha256:
            yield "an acknowledged instance is not kept bit for bit"


def one_result(ward: Ward) -> Iterator[str]:
    """Every complete unit has exactly one current result, of all its instances, or one stated reason."""
    rows = ward.rows(_CURRENT)
    for unit, times in Counter(row.unit for row in rows).items():
        if times > 1:
            yield f"unit {unit} has {times} current results"
    for row in rows:
        if row.job is None:
            yield f"unit {row.unit} has no result, although a route takes it"
        elif row.seen != row.held:
            yield f"unit {row.unit} holds {row.held} instances, its result is of {row.seen}"
        elif row.outcome is None or (row.outcome == "not_analysed" and not row.reason):
            yield f"job {row.job} is {row.state} without an outcome or a reason"
        elif row.state == "quarantined" and row.outcome != "not_analysed":
            yield f"job {row.job} is quarantined and says {row.outcome}"
    if ward.poisoned - {row.study for row in rows if row.state == "quarantined"}:
        yield "a poison input was not quarantined"


def delivered(ward: Ward) -> Iterator[str]:
    """Every report is at every destination exactly once, by its UID; nothing else is there."""
    rows = ward.rows(_DELIVERED)
    jobs = {row.job for row in ward.rows(_CURRENT) if row.job is not None}
    for peer in ward.peers:
        mine = [row for row in rows if row.destination == peer.title.lower()]
        current = Counter(row.job for row in mine if not row.superseded and row.kind == "sr")
        if set(current) != jobs or set(current.values()) - {1}:
            more = sum(current.values()) - len(current)
            yield f"{len(jobs - set(current))} current results have no report for {peer.title}, {more} have more than one"
        for row in mine:
            if row.state in ("stored", "committed") and row.sop_instance_uid not in peer.kept:
                yield f"a report that counts as {row.state} is not at {peer.title}"
            elif row.state not in ("stored", "committed") and not row.superseded:
                yield f"a report of a current result is {row.state} for {peer.title}"
        strangers = set(peer.seen) - {row.sop_instance_uid for row in mine}
        if strangers:
            yield f"{peer.title} has {len(strangers)} objects that the node does not know"
        if any(len(contents) > 1 for contents in peer.seen.values()):
            yield f"{peer.title} was sent different contents under one UID"


def chained(ward: Ward) -> Iterator[str]:
    """The audit chain verifies from its first event to its last."""
    found = audit.verify(ward.database)
    if found.broken is not None or found.unchained:
        yield f"the audit chain is broken at {found.broken}, {found.unchained} events are not linked"


def at_rest(ward: Ward) -> Iterator[str]:
    """No job is stuck, and no temporary file is left."""
    for what, count in restless(ward).items():
        yield f"{what}: {count}"


def ready(ward: Ward) -> Iterator[str]:
    """The node receives, queues and stores as before."""
    with urllib.request.urlopen(f"{ward.node.console}/readyz", timeout=20) as answer:
        if json.load(answer)["ready"] is not True:
            yield "the node is not ready"


def _strays(ward: Ward) -> Iterator[str]:
    """Files that are no blob, and half files of others."""
    for path in (ward.data / "blobs").rglob("*"):
        if path.is_file() and len(path.name) != 64:
            yield path.name
    for path in (ward.data / "models").rglob(".part-*"):
        yield path.name


CHECKS: dict[str, Callable[[Ward], Iterator[str]]] = {
    "acknowledged instances are kept bit for bit": acknowledged,
    "one current result or one stated reason": one_result,
    "every report at every destination once": delivered,
    "the audit chain verifies": chained,
    "nothing is stuck, no temporary file is left": at_rest,
    "the node is ready": ready,
}


def violations(ward: Ward) -> dict[str, list[str]]:
    """Every check with what it found."""
    return {name: list(check(ward)) for name, check in CHECKS.items()}
