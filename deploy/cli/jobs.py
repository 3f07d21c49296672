"""What waits, what failed, why, and what was found."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from core.states import DeliveryState, JobState
from deploy.cli.common import AsJson, Config, emit, listing, moment, opened, operator, plain, report, say

jobs = typer.Typer(help="Jobs: one unit of analysis on one model.")
deliveries = typer.Typer(help="Result objects on their way to destinations.")
results = typer.Typer(help="What was found.")

JOB_COLUMNS = ("job_id", "job_state", "outcome", "model", "priority", "attempts", "queued_at", "reported_at", "delivered_at", "reason")
DELIVERY_COLUMNS = ("delivery_id", "job_id", "destination", "object", "state", "attempts", "next_attempt_at", "note")
SHOWN = {  # of the lists in `jobs show`; --json has every column
    "deliveries": ("delivery_id", "destination", "object", "sop_instance_uid", "state", "attempts", "next_attempt_at", "note"),
    "findings": ("ordinal", "label", "code_meaning", "probability", "score", "tier", "diameter_mm", "position_mm"),
    "reports": ("kind", "sop_instance_uid", "size_bytes", "problems"),
    "images": ("sop_instance_uid", "sha256", "notes"),
}
Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="one or more ids")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="at most this many, newest first")]


@jobs.command("list")
def jobs_list(
    config: Config = None,
    as_json: AsJson = False,
    state: Annotated[JobState | None, typer.Option("--state", show_default=False)] = None,
    limit: Limit = 200,
) -> None:
    """Jobs, newest first; --json has every column."""
    from db.jobs import job_leases as store

    with opened(config) as (_, database):
        rows = store.listing(database, state=state, limit=limit)
    listing(rows, JOB_COLUMNS, title="jobs", as_json=as_json)


@jobs.command("show")
def jobs_show(id: Annotated[int, typer.Argument(metavar="ID")], config: Config = None, as_json: AsJson = False) -> None:
    """One job with its evidence, attempts, findings and deliveries."""
    from db.jobs import job_leases as store

    with opened(config) as (_, database):
        job = store.show(database, id)
    if as_json:
        emit(job)
        return
    for key, value in plain(job).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            say()
            listing(value, SHOWN.get(key) or _columns(value), title=key, as_json=False)
        else:
            say(f"{key}: {json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value}")


@jobs.command("requeue")
def jobs_requeue(ids: Ids, config: Config = None) -> None:
    """Queue failed, quarantined or cancelled jobs again."""
    from db.jobs import job_leases as store
    from db.jobs import refusal_reasons

    with opened(config) as (_, database):
        done = store.requeue(database, ids, operator())
        report(ids, done, "requeued", refusal_reasons.of_jobs(database, ids, done))


@jobs.command("cancel")
def jobs_cancel(id: Annotated[int, typer.Argument(metavar="ID")], config: Config = None) -> None:
    """Cancel a job that has not been reported."""
    from db.jobs import job_leases as store
    from db.jobs import refusal_reasons

    with opened(config) as (_, database):
        done = [id] if store.cancel(database, id, operator()) else []
        report([id], done, "cancelled", refusal_reasons.of_jobs(database, [id], done))


@deliveries.command("list")
def deliveries_list(
    config: Config = None,
    as_json: AsJson = False,
    state: Annotated[DeliveryState | None, typer.Option("--state", show_default=False)] = None,
    limit: Limit = 200,
) -> None:
    """Deliveries, newest first; --json has every column."""
    from db.deliveries import delivery_leases as store

    with opened(config) as (_, database):
        rows = store.listing(database, state=state, limit=limit)
    listing(rows, DELIVERY_COLUMNS, title="deliveries", as_json=as_json)


@deliveries.command("retry")
def deliveries_retry(ids: Ids, config: Config = None) -> None:
    """Send failed or held deliveries again, at once."""
    from db.deliveries import delivery_leases as store
    from db.jobs import refusal_reasons

    with opened(config) as (_, database):
        done = store.retry(database, ids, operator())
        report(ids, done, "to be sent again", refusal_reasons.of_deliveries(database, ids, done))


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


@results.command("export")
def results_export(
    since: Annotated[str | None, typer.Option("--since", metavar="T", help="ISO 8601: reported since then", show_default=False)] = None,
    format: Annotated[Format, typer.Option("--format")] = Format.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    config: Config = None,
) -> None:
    """One row per finding; a unit without findings has one row with its outcome and reason."""
    from db.operations import results_export as operations_results_export

    start = moment(since)
    with opened(config) as (_, database):
        rows = [plain(row) for row in operations_results_export.findings(database, since=start)]
    if as_json or format is Format.JSON:
        emit(rows)
    else:
        _write_csv(rows)


def _write_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    from db.operations.results_export import FIELDS

    writer = csv.DictWriter(sys.stdout, fieldnames=list(FIELDS), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value for key, value in row.items()}
        )


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(next(iter(rows), {}))
