"""Commands on routes: explain which route selects a file, list units that no route selected, route them again."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import NodeError
from deploy.cli.common import AsJson, Config, Ids, Limit, open_database, open_listing, operator_name, parse_time, print_done, read_settings
from deploy.terminal import print_json, print_message, print_rows

app = typer.Typer(help="Test routes, list and requeue what no route selected.")

UNROUTED_COLUMNS = ("unit_id", "source", "accession_number", "modality", "description", "held", "completed_at", "summary")
Since = Annotated[str | None, typer.Option("--since", metavar="T", help="only units complete since T (ISO 8601)", show_default=False)]


@app.command("test")
def explain_files(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them")],
    source: Annotated[str, typer.Option("--source", metavar="AE", help="AE title of the sender")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Explain which routes select these files.

    Every condition is listed with its result. Nothing is stored.
    """
    from deploy.configured_models import check_models
    from deploy.offline.route_test import explain_routes

    settings = read_settings(config)
    check_models(settings)
    units, unread = explain_routes(settings, paths, source)
    if as_json:
        print_json({"units": [unit.as_dict() for unit in units], "unread": [{"path": str(path), "reason": why} for path, why in unread]})
    else:
        for unit in units:
            print_message("\n".join(unit.lines()) + "\n")
        for path, why in unread:
            print_message(f"{path}: not read: {why}")
        if source and source not in {known.ae_title for known in settings.sources}:
            print_message(f"no [[sources]] has the AE title {source!r}: its associations would be rejected")
    if not units:
        raise NodeError("none of these files is a DICOM instance that can be read", hint="give DICOM files, or folders of them")
    if unread:
        raise typer.Exit(1)


@app.command("unrouted")
def list_unrouted(
    config: Config = None,
    as_json: AsJson = False,
    since: Since = None,
    limit: Limit = 200,
    now: Annotated[bool, typer.Option("--now", help="also show what the present routes would do; reads one image of each unit")] = False,
) -> None:
    """List units that no route selected.

    With the reason, in the table as one line (--json has all of it). With --now a column tells what the routes of this
    configuration would do. Nothing is changed.
    """
    from core.policy.routes.unrouted_reason import short_reason
    from db.listings.unrouted import list_unrouted

    start = parse_time(since)
    with open_listing(config) as (settings, reader):
        rows = list_unrouted(reader, since=start, limit=limit)
        description = [row["series_description"] or row["study_description"] for row in rows]
        rows = [row | {"summary": short_reason(row["reason"]), "description": text} for row, text in zip(rows, description, strict=True)]
        if rows and now:
            from deploy.offline.unrouted import present_route_decisions

            decisions = present_route_decisions(settings, reader.url, rows)
            rows = [row | {"now": decision} for row, decision in zip(rows, decisions, strict=True)]
    columns = (*UNROUTED_COLUMNS[:-1], "now", UNROUTED_COLUMNS[-1]) if now else UNROUTED_COLUMNS
    print_rows(rows, columns, title="selected by no route", as_json=as_json)


@app.command("requeue")
def rules_requeue(ids: Ids, config: Config = None) -> None:
    """Route units again that no route selected.

    With the routes of the running node. Run `dicom-node reload` first if its configuration file has changed.
    """
    from db.complete import unrouted as complete_unrouted

    with open_database(config) as (_, database):
        done = complete_unrouted.reopen_unrouted(database, ids, operator_name())
        print_done(ids, done, "will be routed again", complete_unrouted.reopen_refusals(database, ids, done))
