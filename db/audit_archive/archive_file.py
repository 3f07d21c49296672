"""An archived month as a file: gzip of JSON lines, readable without this program.

The first line names the installation, the part and the times that it covers; every other line is an event with its place in the hash
chain, in the order of the chain.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from core.errors import ConfigurationError
from db.audit_archive.chained_event import ChainedEvent
from db.blobs.file_system import fsync_folder

FORMAT = "dicom-node audit archive 1"


@dataclass(frozen=True, slots=True)
class ArchiveHeader:
    """The first line of an archive; times as ISO 8601 in UTC, ``begins_at`` is "-infinity" where it is the first part."""

    installation: str
    name: str
    begins_at: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class ArchivedEvent:
    """One event of an archive."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    chain_seq: int
    chain_hash: str


def write_archive(path: Path, header: ArchiveHeader, events: Iterable[ChainedEvent]) -> str:
    """Write an archive under its final name only when it is whole and on disk; return the SHA-256 of the file.

    Only its owner can read it: the events name users and patients.

    Raises
    ------
    ConfigurationError
        The file exists.
    """
    if path.exists():
        raise ConfigurationError(f"{path} exists", hint="an archive is never overwritten: choose another folder")
    unfinished = path.with_suffix(".tmp")
    unfinished.unlink(missing_ok=True)  # of an attempt that was interrupted, with another mode perhaps
    unfinished.touch(mode=0o600, exist_ok=False)
    with unfinished.open("wb") as raw:
        with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
            packed.write(_line({"format": FORMAT, **_values(header)}))
            for event in events:
                packed.write(_line({**_values(event), "at": event.at.isoformat(timespec="microseconds")}))
        raw.flush()
        os.fsync(raw.fileno())
    unfinished.rename(path)
    fsync_folder(path.parent)
    return file_digest(path)


def read_header(path: Path) -> ArchiveHeader:
    """Return the first line of an archive.

    Raises
    ------
    ConfigurationError
        The file cannot be read, or is no archive of audit events.
    """
    try:
        with gzip.open(path, "rb") as lines:
            found = json.loads(lines.readline())
        if found.pop("format") == FORMAT:
            return ArchiveHeader(**found)
    except (OSError, EOFError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no archive of audit events: {error}", hint="give a file that `audit archive` wrote") from error
    raise ConfigurationError(f"{path} is an archive of another version", hint=f"expected {FORMAT!r}")


def read_events(path: Path) -> Iterator[ArchivedEvent]:
    """Yield the events of an archive whose digest was compared before."""
    with gzip.open(path, "rb") as lines:
        lines.readline()
        for line in lines:
            values = json.loads(line)
            yield ArchivedEvent(**{**values, "at": datetime.fromisoformat(values["at"])})


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _values(record: Any) -> dict[str, Any]:
    """Return the fields of a header or an event, whatever class holds them."""
    fields = ArchiveHeader if isinstance(record, ArchiveHeader) else ArchivedEvent
    return {name: getattr(record, name) for name in fields.__slots__}


def _line(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
