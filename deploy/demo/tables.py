"""The demo's tables: a timeline per study, the findings, the reports."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from deploy.cli.common import say, table
from deploy.demo.check_results import Report
from deploy.demo.inputs import Input
from deploy.demo.outcomes import Seen, unit_of

STEPS = ("completed_at", "queued_at", "inferred_at", "reported_at", "delivered_at")


def evidence(row: Mapping[str, Any]) -> Mapping[str, Any]:
    value = row.get("completion_evidence") or {}
    return json.loads(value) if isinstance(value, str) else value


def moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def seconds_after(start: Any, value: Any) -> str:
    first, then = moment(start), moment(value)
    return "-" if first is None or then is None else f"+{(then - first).total_seconds():.2f} s"


def timeline(seen: Seen, inputs: Sequence[Input]) -> None:
    """One row per unit of each study; times after the first instance was received."""
    rows = []
    for job in sorted(seen.jobs, key=lambda row: row["job_id"]):
        received = moment(job["received_at"])
        rows.append(
            [
                f"{job['modality']} {job['accession_number'] or ''}, job {job['job_id']}",
                f"{received.astimezone():%H:%M:%S}" if received else "-",
                *[seconds_after(job["received_at"], job[step]) for step in STEPS],
                evidence(job).get("reason", ""),
            ]
        )
    for row in seen.findings:
        if row["job_id"] is None:
            rows.append(
                [f"no job ({row['modality']})", "", seconds_after(row["received_at"], row["completed_at"]), *[""] * 4, row["reason"]]
            )
    columns = ["study", "received", "complete", "queued", "inferred", "reported", "delivered", "complete by what evidence"]
    table("\nTimeline (seconds after the first instance was received)", columns, rows)


def findings(seen: Seen, inputs: Sequence[Input]) -> None:
    truth = {uid: words for item in inputs for uid, words in item.truth.items()}
    rows = []
    for row in seen.findings:
        measured = row["measurements"]
        place = measured.get("position_mm")
        where = f"({', '.join(f'{value:.0f}' for value in place)}) mm" if place else ""
        said = row["finding"] or row["outcome"] or row["job_state"]
        number = row["probability"] if row["probability"] is not None else measured.get("score")
        rows.append(
            [
                row["modality"],
                row["job_id"],
                said,
                number,
                row["tier"],
                measured.get("diameter_mm"),
                where,
                row["reason"],
                truth.pop(unit_of(row), ""),
            ]
        )
    columns = ["modality", "job", "finding", "p or score", "tier", "mm", "where (LPS)", "reason", "known of the image"]
    table("\nFindings", columns, rows)


def reports(found: Sequence[Report], pacs_name: str) -> None:
    rows = [
        ["FAIL" if item.problems else "ok", item.job_id, item.kind, item.path or "", ", ".join(item.validators), "; ".join(item.problems)]
        for item in found
    ]
    table(f"\nResults, fetched back from the PACS ({pacs_name})", ["", "job", "object", "file", "valid by", "problems"], rows)


def inputs_line(inputs: Sequence[Input]) -> None:
    for item in inputs:
        kind = "REAL" if item.real else "SYNTHETIC"
        say(f"input: {item.name}, {kind}, {len(item.files)} instances: {item.source}")
