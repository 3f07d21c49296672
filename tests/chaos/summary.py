"""The summary of a run: one table, as text and as JSON."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.failpoints import FAILPOINTS
from tests.chaos.node_under_test import NodeUnderTest


def summarise(target: NodeUnderTest, about: Mapping[str, Any], found: Mapping[str, list[str]], errors: list[str]) -> dict[str, Any]:
    """Return the table: ``about`` the run, the faults that were injected, the state of the work, the violations that were ``found``."""
    fired = Counter(f"{fault} at {failpoint}" for failpoint, fault in target.failpoints.fired())
    killed_at = {failpoint for failpoint, fault in target.failpoints.fired() if fault == "kill"}
    return {
        **about,
        "acknowledged": len(target.acknowledged),
        "not acknowledged at first": target.refused,
        "kills": target.kills,
        "failpoints killed at": f"{len(killed_at)} of {len(FAILPOINTS)}",
        "failpoints never reached": sorted(set(FAILPOINTS) - killed_at),
        "faults": dict(sorted((fired + target.faults_done).items())),
        "jobs": _count_by(target, "SELECT state AS what, count(*) AS times FROM jobs GROUP BY state"),
        "attempts": _count_by(target, "SELECT result AS what, count(*) AS times FROM attempts GROUP BY result"),
        "forgotten by a destination": sum(destination.forgotten for destination in target.destinations),
        "clock moved by, s": round(target.clock_s),
        "blobs without a row": _orphaned_blobs(target),
        **target.figures,
        "errors": errors,
        "violations": {name: sentences[:5] for name, sentences in found.items() if sentences},
    }


def _count_by(target: NodeUnderTest, statement: str) -> dict[str, int]:
    return {row.what: row.times for row in target.rows(statement)}


def _orphaned_blobs(target: NodeUnderTest) -> int:
    """Count blobs without a row, which a kill between the write of the blob and that of the row leaves."""
    tables = ("instances", "reports", "quarantine", "result_overlays")
    rows = target.rows(" UNION ".join(f"SELECT sha256 FROM {table}" for table in tables))
    known = {row.sha256 for row in rows}
    return sum(name not in known for name in target.blob_names())


def passed(table: Mapping[str, Any]) -> bool:
    """Whether every invariant holds and no error occurred in the harness."""
    return not table["violations"] and not table["errors"]


def format_summary(table: Mapping[str, Any], json_file: Path | None = None) -> str:
    """Return the table as text, and write it as JSON to a file."""
    if json_file is not None:
        json_file.write_text(json.dumps(table, indent=2) + "\n")
    lines = [f"{name:<28} {_format(value)}" for name, value in table.items()]
    return "\n".join((*lines, "ALL INVARIANTS HELD" if passed(table) else "NOT ALL INVARIANTS HELD"))


def _format(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_format(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return str(value)
