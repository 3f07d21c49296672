"""Which route takes these files, and why; what no route took, and judging it again."""

from pathlib import Path
from typing import Annotated

import typer

from core.errors import NodeError
from deploy.cli.common import AsJson, Config, emit, listing, moment, opened, operator, report, say, settings_of
from deploy.cli.jobs import Ids, Limit
from deploy.configured_models import check_models

app = typer.Typer(help="Routes of the configuration.")

UNROUTED_COLUMNS = ("unit_id", "kind", "source", "held", "completed_at", "now", "reason")
Since = Annotated[str | None, typer.Option("--since", metavar="T", help="ISO 8601: complete since then", show_default=False)]


@app.command("test")
def explain_files(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="DICOM files or folders")],
    source: Annotated[str, typer.Option("--source", metavar="AE", help="the AE title they would come from")] = "",
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Which route takes these files, and why, in words; nothing is stored."""
    from deploy.offline.route_test import explain

    settings = settings_of(config)
    check_models(settings)
    units, unread = explain(settings, paths, source)
    if as_json:
        emit({"units": [unit.as_dict() for unit in units], "unread": [{"path": str(path), "reason": why} for path, why in unread]})
    else:
        for unit in units:
            say("\n".join(unit.lines()) + "\n")
        for path, why in unread:
            say(f"{path}: not read: {why}")
    if not units:
        raise NodeError("none of these files is a DICOM instance that can be read", hint="give DICOM files, or a folder of them")
    if unread:
        raise typer.Exit(1)


@app.command("unrouted")
def list_unrouted(config: Config = None, as_json: AsJson = False, since: Since = None, limit: Limit = 200) -> None:
    """What no route took, and why; "now" says what the routes of this configuration would do with it. Nothing is changed."""
    from db.complete.unrouted import unrouted
    from deploy.offline.unrouted import now

    start = moment(since)
    with opened(config) as (settings, database):
        rows = [row | {"now": now(settings, database, row)} for row in unrouted(database, since=start, limit=limit)]
    listing(rows, UNROUTED_COLUMNS, title="taken by no route", as_json=as_json)


@app.command("requeue")
def rules_requeue(ids: Ids, config: Config = None) -> None:
    """Judge units that no route took once more, by the routes that the running node has now (start it again after a change of its file)."""
    from db.complete import unrouted as complete_unrouted

    with opened(config) as (_, database):
        done = complete_unrouted.again(database, ids, operator())
        report(ids, done, "to be judged again", complete_unrouted.obstacles(database, ids, done))
