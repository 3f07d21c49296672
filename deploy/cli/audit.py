"""Commands on the audit trail."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ChainBroken, ConfigurationError
from deploy.cli.common import AsJson, Config, open_database, operator_name, parse_time
from deploy.terminal import print_json, print_message, to_json_types

app = typer.Typer(help="Verify and export the audit trail.")


@app.command()
def verify(
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="anchors, or a copy (default: audit.anchor_file)", show_default=False),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="key that signed them (default: beside audit.anchor_key)", show_default=False),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify the hash chain over all events, and compare it with its anchors.

    If it is broken, the exit status is 1 and the first wrong event is named. Anchors show what the chain alone cannot: events deleted at
    its end, and a chain that was written anew.
    """
    from db.anchor.anchor_key import public_key_file
    from db.anchor.time_stamps import load_authorities
    from db.anchor.verification import verify_with_anchors

    if anchor is not None and not anchor.is_file():
        raise ConfigurationError(f"--anchor {anchor} does not exist or is not a file", hint="give a copy of audit.anchor_file")
    with open_database(config) as (settings, database):
        authorities = load_authorities(settings.audit.time_stamp_ca) if settings.audit.time_stamp_ca is not None else None
        key = public_key or public_key_file(settings.anchor_key)
        found = verify_with_anchors(database, anchor or settings.anchor_file, key, authorities)
    if as_json:
        print_json(
            {
                "ok": found.ok,
                "events": found.events,
                "chained": found.chained,
                "unchained": found.unchained,
                "head": found.head,
                "broken": found.broken,
                "reason": found.reason,
                "anchors": found.anchors,
                "anchor_problem": found.anchor_problem,
                "time_stamps": found.time_stamps,
                "restored": list(found.restored),
            }
        )
    else:
        print_message(f"{found.chained} events chained, {found.unchained} not chained yet, head {found.head or '(none)'}")
        print_message(f"compared with {found.anchors} anchors, of which {found.time_stamps} have a time stamp")
        for sentence in found.restored:
            print_message(sentence)
    if found.broken is not None:
        raise ChainBroken(f"event {found.broken}: {found.reason}", hint="compare with an earlier export or backup")
    if found.anchor_problem:
        raise ChainBroken(found.anchor_problem, hint="keep a copy of database and anchors, and inform the security officer")


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
    from db.operations.data_audit import record_export

    start = parse_time(since)
    with open_database(config) as (_, database):
        record_export(database, "audit", actor=operator_name(), details={"since": since or ""})
        rows = audit.export(database, since=start)
        if as_json:
            print_json(list(rows))
            return
        for row in rows:
            sys.stdout.write(json.dumps(to_json_types(row), ensure_ascii=False) + "\n")
