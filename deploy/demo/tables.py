"""Prints the tables of the demo: what was sent, a timeline per study, the findings, the fetched objects."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.counted import counted
from deploy.demo.inputs import DemoInput
from deploy.demo.result_check import FetchedObject
from deploy.demo.snapshot import DemoSnapshot, unit_uid
from deploy.terminal import print_message, print_table

STEPS = ("completed_at", "queued_at", "inferred_at", "reported_at", "delivered_at")


def print_inputs(inputs: Sequence[DemoInput]) -> None:
    """Print one line for each input, real or synthetic."""
    for item in inputs:
        kind = "REAL" if item.real else "SYNTHETIC"
        print_message(f"input: {item.name}, {kind}, {counted(len(item.files), 'instance')}: {item.source}")


def print_timeline(snapshot: DemoSnapshot) -> None:
    """Print one row for each unit, with the seconds from its first instance to each step."""
    rows = []
    for job in sorted(snapshot.jobs, key=lambda row: row["job_id"]):
        received = _as_datetime(job["received_at"])
        rows.append(
            [
                f"{job['modality']} {job['accession_number'] or ''}, job {job['job_id']}",
                f"{received.astimezone():%H:%M:%S}" if received else "-",
                *[_seconds_between(job["received_at"], job[step]) for step in STEPS],
                _completion_evidence(job).get("reason", ""),
            ]
        )
    for row in snapshot.findings:
        if row["job_id"] is None:
            complete = _seconds_between(row["received_at"], row["completed_at"])
            rows.append([f"no job ({row['modality']})", "", complete, *[""] * 4, row["reason"]])
    columns = ["study", "received", "complete", "queued", "inferred", "reported", "delivered", "evidence of completeness"]
    print_table("\nTimeline (seconds after the first instance was received)", columns, rows)


def print_findings(snapshot: DemoSnapshot, inputs: Sequence[DemoInput]) -> None:
    """Print one row for each finding, beside what is known of the image; one for each unit without findings."""
    truth = {uid: text for item in inputs for uid, text in item.truth.items()}
    rows = []
    for row in snapshot.findings:
        measurements = row["measurements"]
        position = measurements.get("position_mm")
        rows.append(
            [
                row["modality"],
                row["job_id"],
                row["finding"] or row["outcome"] or row["job_state"],
                row["probability"] if row["probability"] is not None else measurements.get("score"),
                row["tier"],
                measurements.get("diameter_mm"),
                f"({', '.join(f'{value:.0f}' for value in position)}) mm" if position else "",
                row["reason"],
                truth.pop(unit_uid(row), ""),
            ]
        )
    columns = ["modality", "job", "finding", "p or score", "tier", "mm", "position (LPS)", "reason", "known of the image"]
    print_table("\nFindings", columns, rows)


def print_fetched(fetched: Sequence[FetchedObject], pacs_name: str) -> None:
    """Print one row for each object that was fetched from the PACS."""
    rows = [
        ["FAIL" if item.problems else "ok", item.job_id, item.kind, item.path or "", ", ".join(item.validators), "; ".join(item.problems)]
        for item in fetched
    ]
    print_table(f"\nResults, fetched from the PACS ({pacs_name})", ["", "job", "object", "file", "validated by", "problems"], rows)


def _completion_evidence(row: Mapping[str, Any]) -> Mapping[str, Any]:
    value = row.get("completion_evidence") or {}
    return json.loads(value) if isinstance(value, str) else value


def _as_datetime(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _seconds_between(start: Any, end: Any) -> str:
    first, then = _as_datetime(start), _as_datetime(end)
    return "-" if first is None or then is None else f"+{(then - first).total_seconds():.2f} s"
