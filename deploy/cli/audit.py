"""The audit trail."""

import json
import sys
from typing import Annotated

import typer

from core.errors import ChainBroken
from deploy.cli.common import AsJson, Config, emit, moment, opened, plain, say

app = typer.Typer(help="The audit trail: a hash chain over every event.")


@app.command()
def verify(config: Config = None, as_json: AsJson = False) -> None:
    """Walk the chain; exit 1 and the first broken event where it does not hold."""
    from db import audit

    with opened(config) as (_, database):
        found = audit.verify(database)
    if as_json:
        emit(
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
        say(f"{found.chained} events chained, {found.unchained} not chained yet, head {found.head or '(none)'}")
    if found.broken is not None:
        raise ChainBroken(f"event {found.broken}: {found.reason}", hint="compare with an export or a backup made before")


@app.command()
def export(
    since: Annotated[str | None, typer.Option("--since", metavar="T", help="ISO 8601", show_default=False)] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Events with their hashes: one JSON object a line, or one array with --json."""
    from db import audit

    start = moment(since)
    with opened(config) as (_, database):
        rows = audit.export(database, since=start)
        if as_json:
            emit(list(rows))
            return
        for row in rows:
            sys.stdout.write(json.dumps(plain(row), ensure_ascii=False) + "\n")
