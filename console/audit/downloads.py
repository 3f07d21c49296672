"""Rows as CSV or JSON, written while they are read from the database, so that a large export needs little memory."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi.responses import StreamingResponse

from core.csv_cells import format_csv_cell

EVENT_COLUMNS = ("event_id", "at", "actor", "action", "subject", "details", "chain_seq", "chain_hash")
PART_CHARACTERS = 64 << 10  # each part of a streamed answer costs a change of thread


def download(name: str, columns: Sequence[str], rows: Iterator[Any], *, as_json: bool, most: int | None = None) -> StreamingResponse:
    """Return a file of these columns of ``rows``, named after ``name``. Behind ``most`` rows a CSV file ends, and its last line says so."""
    body, kind = (_json(columns, rows), "json") if as_json else (_csv(columns, rows, most), "csv")
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"'}
    return StreamingResponse(body, media_type="application/json" if as_json else "text/csv", headers=headers)


def _csv(columns: Sequence[str], rows: Iterator[Any], most: int | None) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    writer.writerow(columns)
    for number, row in enumerate(rows):
        if number == most:
            writer.writerow([f"only the first {most} rows: narrow the conditions for the rest"])
            break
        writer.writerow([format_csv_cell(getattr(row, name)) for name in columns])
        if line.tell() > PART_CHARACTERS:
            yield line.getvalue()
            line.seek(0)
            line.truncate()
    yield line.getvalue()


def _json(columns: Sequence[str], rows: Iterator[Any]) -> Iterator[str]:
    part, separator = io.StringIO(), "["
    for row in rows:
        part.write(separator + json.dumps({name: getattr(row, name) for name in columns}, ensure_ascii=False, default=str))
        separator = ",\n"
        if part.tell() > PART_CHARACTERS:
            yield part.getvalue()
            part.seek(0)
            part.truncate()
    yield part.getvalue() + ("]" if separator != "[" else "[]")
