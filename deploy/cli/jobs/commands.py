"""Commands on jobs, deliveries and results."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from core.counted import counted
from core.states import DeliveryState, JobState
from deploy.cli.common import AsJson, Config, Ids, JobId, Limit, open_database, open_listing, operator_name, print_done
from deploy.cli.jobs.export import export_results
from deploy.cli.jobs.give_up import give_up_deliveries
from deploy.cli.jobs.rerun import rerun_jobs
from deploy.cli.jobs.resend import resend_deliveries
from deploy.terminal import print_json, print_message, print_rows, to_json_types

jobs = typer.Typer(help="List, show, requeue, rerun, release and cancel jobs.")
deliveries = typer.Typer(help="List deliveries, retry, resend and give them up.")
results = typer.Typer(help="Export findings.")
jobs.command("rerun")(rerun_jobs)
deliveries.command("resend")(resend_deliveries)
deliveries.command("give-up")(give_up_deliveries)
results.command("export")(export_results)

JOB_COLUMNS = ("job_id", "job_state", "outcome", "model", "priority", "attempts", "queued_at", "reported_at", "delivered_at", "reason")
DELIVERY_COLUMNS = ("delivery_id", "job_id", "destination", "object", "state", "attempts", "next_attempt_at", "note")
COLUMNS_OF_LISTS = {  # in `jobs show`; --json has every column
    "deliveries": ("delivery_id", "destination", "object", "sop_instance_uid", "state", "attempts", "next_attempt_at", "note"),
    "findings": ("ordinal", "label", "code_meaning", "probability", "score", "tier", "diameter_mm", "position_mm"),
    "reports": ("kind", "sop_instance_uid", "size_bytes", "problems"),
    "images": ("sop_instance_uid", "sha256", "notes"),
}


@jobs.command("list")
def jobs_list(
    config: Config = None,
    as_json: AsJson = False,
    state: Annotated[JobState | None, typer.Option("--state", help="only those in this state", show_default=False)] = None,
    limit: Limit = 200,
) -> None:
    """List jobs, the newest first. --json has every column."""
    from db.listings.jobs import list_jobs

    with open_listing(config) as (_, reader):
        rows = list_jobs(reader, state=state, limit=limit)
    print_rows(rows, JOB_COLUMNS, title="jobs", as_json=as_json)


@jobs.command("show")
def jobs_show(id: JobId, config: Config = None, as_json: AsJson = False) -> None:
    """Show one job.

    With its completion evidence, attempts, findings and deliveries.
    """
    from db.jobs.job_admin import show_job

    with open_database(config) as (_, database):
        job = show_job(database, id)
    if as_json:
        print_json(job)
        return
    for key, value in to_json_types(job).items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print_message()
            print_rows(value, COLUMNS_OF_LISTS.get(key) or _columns(value), title=key, as_json=False)
        else:
            text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else "" if value is None else str(value)
            print_message(f"{key}: {text}".rstrip())


@jobs.command("requeue")
def jobs_requeue(ids: Ids, config: Config = None) -> None:
    """Queue failed, quarantined or cancelled jobs again."""
    from db.jobs import refusal_reasons
    from db.jobs.job_admin import requeue_jobs

    with open_database(config) as (_, database):
        done = requeue_jobs(database, ids, operator_name())
        print_done(ids, done, "requeued", refusal_reasons.job_refusals(database, ids, done))


@jobs.command("cancel")
def jobs_cancel(id: JobId, config: Config = None) -> None:
    """Cancel a job that has not been reported yet."""
    from db.jobs import refusal_reasons
    from db.jobs.job_admin import cancel_job

    with open_database(config) as (_, database):
        done = [id] if cancel_job(database, id, operator_name()) else []
        print_done([id], done, "cancelled", refusal_reasons.job_refusals(database, [id], done))


@jobs.command("release")
def jobs_release(
    id: JobId,
    reason: Annotated[str, typer.Option("--reason", help="why it is sent without a verdict; kept in the audit trail")],
    config: Config = None,
) -> None:
    """Send a result that waits for a clinician's verdict."""
    from core.policy.verdicts import VerdictRefused
    from db.verdicts.releases import release_result

    with open_database(config) as (_, database):
        try:
            count = release_result(database, id, actor=operator_name(), cause="command", reason=reason)
        except VerdictRefused as error:
            print_message(str(error))
            raise typer.Exit(1) from error
        print_message(f"job {id} is released: {counted(count, 'delivery', 'deliveries')} will be sent")


@deliveries.command("list")
def deliveries_list(
    config: Config = None,
    as_json: AsJson = False,
    state: Annotated[DeliveryState | None, typer.Option("--state", help="only those in this state", show_default=False)] = None,
    limit: Limit = 200,
) -> None:
    """List deliveries, the newest first. --json has every column."""
    from db.listings.deliveries import list_deliveries

    with open_listing(config) as (_, reader):
        rows = list_deliveries(reader, state=state, limit=limit)
    print_rows(rows, DELIVERY_COLUMNS, title="deliveries", as_json=as_json)


@deliveries.command("retry")
def deliveries_retry(ids: Ids, config: Config = None) -> None:
    """Send failed, held or given up deliveries again, now."""
    from db.deliveries.delivery_admin import retry_deliveries
    from db.jobs import refusal_reasons

    with open_database(config) as (_, database):
        done = retry_deliveries(database, ids, operator_name())
        print_done(ids, done, "will be sent again", refusal_reasons.delivery_refusals(database, ids, done))


def _columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(next(iter(rows), {}))
