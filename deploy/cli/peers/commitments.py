"""Commands on storage commitment reports that a source did not accept."""

from dataclasses import asdict
from typing import Annotated

import typer

from core.errors import ConfigurationError
from deploy.cli.common import AsJson, Config, Ids, Limit, open_database, operator_name, print_done
from deploy.terminal import print_rows, to_json_types

app = typer.Typer(help="List, retry and give up reports to sources.")

COLUMNS = ("id", "source", "instances", "attempts", "received_at", "failed_at", "note")
HINT = "see `commitments list`"


@app.command("list")
def commitments_list(config: Config = None, as_json: AsJson = False, limit: Limit = 200) -> None:
    """List reports that could not be sent, with the reason."""
    from db.commitment.failed_reports import list_failed_reports

    with open_database(config) as (_, database):
        rows = [to_json_types(asdict(report)) for report in list_failed_reports(database, limit=limit)]
    print_rows(rows, COLUMNS, title="reports", as_json=as_json)


@app.command("retry")
def commitments_retry(ids: Ids, config: Config = None) -> None:
    """Send failed or given up reports again, immediately."""
    from db.commitment.failed_reports import report_refusals, retry_reports

    with open_database(config) as (_, database):
        done = retry_reports(database, ids, operator_name())
        print_done(ids, done, "will be sent again", report_refusals(database, ids, done), HINT)


@app.command("give-up")
def commitments_give_up(
    ids: Ids,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept in the audit trail")],
    config: Config = None,
) -> None:
    """Give up reports that failed."""
    from db.commitment.failed_reports import give_up_reports, report_refusals

    if not reason.strip():
        raise ConfigurationError("a reason is missing: it is kept in the audit trail", hint="add --reason TEXT")
    with open_database(config) as (_, database):
        done = give_up_reports(database, ids, actor=operator_name(), reason=reason.strip())
        print_done(ids, done, "given up", report_refusals(database, ids, done), HINT)
