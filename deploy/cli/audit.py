"""Commands on the audit trail."""

import json
import sys
from typing import Annotated

import typer

from core.errors import ChainBroken
from deploy.cli.common import AsJson, Config, open_database, parse_time
from deploy.terminal import print_json, print_message, to_json_types

app = typer.Typer(help="Verify and export the audit trail.")


@app.command()
def verify(config: Config = None, as_json: AsJson = False) -> None:
    """Verify the hash chain over all events.

    If it is broken, the exit status is 1 and the first wrong event is named.
    """
    from db import audit

    with open_database(config) as (_, database):
        found = audit.verify(database)
    if as_json:
        print_json(
            {
                "ok": found.broken is None,
                "events": found.events,
                "chained": found.chained,
                "unchained": found.unchained,
                "head": found.head,
                "broken": found.broken,
                "reason": found.reason,
            }
        )
    else:
        print_message(f"{found.chained} events chained, {found.unchained} not chained yet, head {found.head or '(none)'}")
    if found.broken is not None:
        raise ChainBroken(f"event {found.broken}: {found.reason}", hint="compare with an earlier export or backup")


@app.command()
def export(
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="only events since this time (ISO 8601)", show_default=False)
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print events with their hashes.

    One JSON object per line, or one array with --json.
    """
    from db import audit

    start = parse_time(since)
    with open_database(config) as (_, database):
        rows = audit.export(database, since=start)
        if as_json:
            print_json(list(rows))
            return
        for row in rows:
            sys.stdout.write(json.dumps(to_json_types(row), ensure_ascii=False) + "\n")
