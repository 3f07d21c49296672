"""``results export``: findings and the inputs of results, for other systems and for spreadsheets."""

import csv
import hashlib
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from core.csv_cells import format_csv_cell
from core.errors import ConfigurationError
from deploy.cli.common import Config, open_database, operator_name, parse_time
from deploy.cli.jobs.flat_rows import flat_rows
from deploy.local.private_files import write_private_file
from deploy.terminal import print_message, to_json_types

HEADER_FILE = "export.json"


class ExportFormat(StrEnum):
    """Formats of ``results export``."""

    JSON = "json"
    CSV = "csv"


def export_results(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="T",
            help="only what was reported, failed, was cancelled, superseded, delivered or judged since this time (ISO 8601)",
            show_default=False,
        ),
    ] = None,
    format: Annotated[ExportFormat, typer.Option("--format", help="output format")] = ExportFormat.JSON,
    as_json: Annotated[bool, typer.Option("--json", help="the same as --format json")] = False,
    inputs: Annotated[bool, typer.Option("--inputs", help="the inputs of results (SOP Instance UID, SHA-256), not findings")] = False,
    head: Annotated[
        bool, typer.Option("--head", help="CSV: the header as lines with # before the names of the columns, for people and archives")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="write results, inputs and header into this folder", show_default=False)
    ] = None,
    config: Config = None,
) -> None:
    """Print one row per finding. A unit without findings has one row with its outcome and reason.

    The header (filter, time, number of rows, SHA-256, and the time from which the next export continues) is on standard error, with
    --out in export.json, with --head before the table. In CSV, text that a spreadsheet would take for a formula has an apostrophe
    before it.
    """
    from db.operations.data_audit import record_export
    from db.operations.results_export import FIELDS, INPUT_FIELDS, export_findings, export_inputs, next_since

    start, kind = parse_time(since), ExportFormat.JSON if as_json else format
    if out is not None and inputs:
        raise ConfigurationError("--out writes the inputs too", hint="leave out --inputs")
    if head and (kind is ExportFormat.JSON or out is not None):
        raise ConfigurationError("--head is for CSV on standard output", hint="add --format csv; --out writes the header to export.json")
    files: dict[str, tuple[str, int]] = {}
    with open_database(config) as (_, database):
        at, continues_at = database.now(), next_since(database)
        record_export(database, "results", actor=operator_name(), details={"since": since or "", "format": kind.value, "inputs": inputs})
        if not inputs:
            rows = [to_json_types(row) for row in export_findings(database, since=start)]
            files[f"results.{kind.value}"] = (_json(rows) if kind is ExportFormat.JSON else _csv(*flat_rows(FIELDS, rows)), len(rows))
        if inputs or out is not None:
            found = [to_json_types(row) for row in export_inputs(database, since=start)]
            as_csv = out is not None or kind is ExportFormat.CSV
            files["inputs.csv"] = (_csv(INPUT_FIELDS, found) if as_csv else _json(found), len(found))
    header = _header(files, start, at, continues_at)
    if out is None:
        for content, _ in files.values():
            sys.stdout.write((_head_lines(header) if head else "") + content)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, (content, _) in files.items():
            write_private_file(out / name, content)
        write_private_file(out / HEADER_FILE, _json(header))
    for entry in header["files"]:
        since_text = f"since {header['filter']['since']}" if start else "of all time"
        print_message(f"{entry['name']}: {entry['rows']} rows {since_text}, exported at {header['exported_at']}, sha256 {entry['sha256']}")
    print_message(f"the next export continues with --since {header['next_since']}")


def _header(files: Mapping[str, tuple[str, int]], since: datetime | None, at: datetime, continues_at: datetime) -> dict[str, Any]:
    """What was exported: filter, time, and rows and digest of each file; and where the next export continues."""
    return {
        "exported_at": at.isoformat(),
        "next_since": continues_at.isoformat(),
        "filter": {"since": since.isoformat() if since else None},
        "files": [
            {"name": name, "rows": count, "sha256": hashlib.sha256(content.encode()).hexdigest()}
            for name, (content, count) in files.items()
        ],
    }


def _head_lines(header: Mapping[str, Any]) -> str:
    """The header as lines that begin with #. The digest is that of everything below them."""
    (entry,) = header["files"]
    since = header["filter"]["since"] or "(all)"
    facts = (f"dicom-node results export: {entry['name']}", f"since {since}", f"exported at {header['exported_at']}")
    return "".join(f"# {fact}\n" for fact in (*facts, f"{entry['rows']} rows", f"sha256 of the lines below {entry['sha256']}"))


def _json(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([format_csv_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()
