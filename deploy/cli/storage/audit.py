"""Commands on the audit trail."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from core.counted import counted
from core.errors import ChainBroken, ConfigurationError
from deploy.cli.common import AsJson, Config, open_database, open_privileged_database, operator_name, parse_time
from deploy.terminal import print_json, print_message, print_rows, to_json_types

app = typer.Typer(help="Verify, export and archive the audit trail.")


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
    archives: Annotated[
        list[Path] | None,
        typer.Option("--archive", metavar="FILE", help="archived month that is verified as well; may be repeated", show_default=False),
    ] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify the hash chain of the audit trail.

    It is verified over all events, and compared with its anchors. If it is broken, the exit status is 1 and the first wrong event is named.
    Anchors show what the chain alone cannot: events deleted at its end, and a chain that was written anew. Of archived months whose files
    are not given, only the ends are compared.
    """
    from db.anchor.anchor_key import public_key_file
    from db.anchor.time_stamps import load_authorities
    from db.anchor.verification import verify_with_anchors
    from db.audit_archive.month_archive import open_archives

    if anchor is not None and not anchor.is_file():
        raise ConfigurationError(f"--anchor {anchor} does not exist or is not a file", hint="give a copy of audit.anchor_file")
    with open_database(config) as (settings, database):
        authorities = load_authorities(settings.audit.time_stamp_ca) if settings.audit.time_stamp_ca is not None else None
        key = public_key or public_key_file(settings.anchor_key)
        events = open_archives(database, archives or ())
        found = verify_with_anchors(database, anchor or settings.anchor_file, key, authorities, events)
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
                "archived": found.archived,
            }
        )
    else:
        print_message(f"{counted(found.chained, 'event')} chained, {found.unchained} not chained yet, head {found.head or '(none)'}")
        if found.archived:
            archived = counted(found.archived, "more event is", "more events are")
            print_message(f"{archived} archived and not verified: give the files with --archive")
        print_message(f"compared with {counted(found.anchors, 'anchor')}; with a time stamp: {found.time_stamps}")
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


@app.command()
def months(config: Config = None, as_json: AsJson = False) -> None:
    """List the months of the audit trail.

    With their sizes, and the files of those that are archived.
    """
    from db.audit_archive.months import list_months

    with open_database(config) as (_, database):
        rows = [asdict(month) for month in list_months(database)]
    print_rows(rows, ("name", "begins_at", "ends_at", "size_bytes", "archived_at", "events", "file"), title="months", as_json=as_json)


@app.command()
def archive(
    month: Annotated[str, typer.Argument(metavar="MONTH", help="name of the month, from `audit months`")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="folder for the file", file_okay=False, exists=True)],
    config: Config = None,
) -> None:
    """Move a month of the audit trail to a file.

    The month is removed from the database once the file is verified. Needs the role that may upgrade the schema (database.admin_url): the
    node's own role cannot remove events.
    """
    from db.audit_archive.month_archive import archive_month

    with open_privileged_database(config) as database:
        print_message(f"{archive_month(database, month, to, actor=operator_name())}: keep a copy elsewhere, `audit verify` needs it")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="file that `audit archive` wrote")],
    config: Config = None,
) -> None:
    """Put an archived month back into the database."""
    from db.audit_archive.month_archive import restore_month

    with open_privileged_database(config) as database:
        print_message(f"the month {restore_month(database, file, actor=operator_name())} is in the database again")
