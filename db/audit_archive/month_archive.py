"""Archives a month of the audit trail: writes it to a file, verifies the file, and removes the month's table. And back again.

Only the owner of the audit trail or a superuser can do this; the node's role cannot. Removing a month is one transaction: the table goes,
`audit_months` gets the ends of the stretches of the chain that went with it, and an event `audit.archived` names the file.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from psycopg2.extras import execute_values
from sqlalchemy import Connection, Row, text

from core.errors import ChainBroken, ConfigurationError
from db import audit
from db.audit_archive.archive_file import ArchivedEvent, ArchiveHeader, file_digest, read_events, read_header, write_archive
from db.audit_archive.months import ArchivedRun, archived_runs
from db.engine import Database

LOCK_TIMEOUT_S = 2  # new events wait behind a lock that is waited for: better to give up

_MONTH = text("""
    SELECT name, begins_at::text AS begins_at, ends_at::text AS ends_at, ends_at <= clock_timestamp() AS ended, archived_at, file, sha256,
           (SELECT id FROM public.installation) AS installation, coalesce((SELECT number FROM public.audit_anchor), 0) AS anchored,
           EXISTS (SELECT FROM public.audit_anchor) AS has_anchor
    FROM public.audit_months WHERE name = :name
""")
# As in db.schema.owners: nothing that the node made in the schema public is executed with the rights of a superuser.
_ONLY_BUILT_IN = text("SET LOCAL search_path = pg_catalog")
_RECORD = text("""
    INSERT INTO public.audit_events (actor, action, subject, details) VALUES (:actor, :action, :subject, CAST(:details AS jsonb))
""")
_HEAD_NUMBER = text("SELECT max(chain_seq) FROM public.audit_events")
_HASH_OF = text("SELECT chain_hash FROM public.audit_events WHERE chain_seq = :number")
_ARCHIVED = text("""
    UPDATE public.audit_months
    SET archived_at = clock_timestamp(), file = :file, sha256 = :sha256, events = :events, runs = CAST(:runs AS jsonb)
    WHERE name = :name AND archived_at IS NULL
""")
_RESTORED = text("""
    UPDATE public.audit_months SET archived_at = NULL, file = '', sha256 = '', events = 0, runs = '[]' WHERE name = :name
""")
_ADD_PART = text("SELECT public.audit_add_part(:name, CAST(:begins AS timestamptz), CAST(:ends AS timestamptz))")


def archive_month(database: Database, name: str, folder: Path, *, actor: str) -> Path:
    """Write a month to a file in ``folder``, verify the file, remove the month from the database, and return the file.

    After a failure the month is still in the database; the file may be there, and is deleted before the next attempt.

    Raises
    ------
    ConfigurationError
        There is no such month, it has not ended, or its events are not chained, or not covered by an anchor yet.
    ChainBroken
        The month's part of the chain is broken: it is not archived.
    StorageError
        The database does not respond, or another process reads the audit trail.
    """
    with database.begin() as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        connection.execute(_ONLY_BUILT_IN)
        month, table = _checked_month(connection, name)
        rows = connection.execution_options(yield_per=audit.FETCH_ROWS).execute(
            text(f"SELECT id, at, actor, action, subject, details, chain_seq, chain_hash FROM {table} ORDER BY chain_seq")
        )
        path = folder / f"audit_{name}.jsonl.gz"
        header = ArchiveHeader(str(month.installation), name, month.begins_at, month.ends_at)
        digest = write_archive(path, header, rows)
        starts = _starts_of_runs(connection, table)
    runs, count = verify_events(read_events(path), starts)
    with database.begin() as connection:
        connection.execute(_ONLY_BUILT_IN)
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": audit.CHAIN_LOCK})
        connection.execute(text(f"ALTER TABLE public.audit_events DETACH PARTITION {table}"))
        last = connection.execute(text(f"SELECT max(chain_seq), count(*) - count(chain_seq) FROM {table}")).one()
        if tuple(last) != (max(run.last for run in runs), 0):
            raise ConfigurationError(f"the month {name} got another event meanwhile", hint=f"delete {path} and archive the month again")
        connection.execute(text(f"DROP TABLE {table}"))
        given = [asdict(run) for run in runs]
        connection.execute(_ARCHIVED, {"name": name, "file": path.name, "sha256": digest, "events": count, "runs": json.dumps(given)})
        details = {"file": path.name, "sha256": digest, "events": count, "runs": given}
        _record(connection, actor, "audit.archived", name, details)
    return path


def open_archives(database: Database, files: Iterable[Path]) -> list[Iterator[ArchivedEvent]]:
    """Return the events of each file, after comparing it with what `audit_months` says of it.

    Raises
    ------
    ConfigurationError
        A file is no archive of this installation, or its month is in the database.
    ChainBroken
        The content of a file is not what was archived.
    """
    found = []
    for path in files:
        with database.begin() as connection:
            connection.execute(_ONLY_BUILT_IN)
            _archived_month(connection, path)
        found.append(read_events(path))
    return found


def restore_month(database: Database, path: Path, *, actor: str) -> str:
    """Put the events of an archive back into the database, and return the name of the month. The file remains.

    Raises
    ------
    ConfigurationError
        The file is no archive of this installation, or its month is in the database.
    ChainBroken
        The content of the file is not what was archived.
    """
    with database.begin() as connection:
        connection.execute(_ONLY_BUILT_IN)
        month = _archived_month(connection, path)
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'"))
        connection.execute(_ADD_PART, {"name": month.name, "begins": month.begins_at, "ends": month.ends_at})
        rows = (
            (e.id, e.at, e.actor, e.action, e.subject, json.dumps(e.details), e.chain_seq, e.chain_hash) for e in read_events(path)
        )  # fmt: skip
        columns = "id, at, actor, action, subject, details, chain_seq, chain_hash"
        with closing(connection.connection.cursor()) as cursor:
            execute_values(cursor, f"INSERT INTO public.audit_events_{month.name} ({columns}) VALUES %s", rows, page_size=audit.FETCH_ROWS)
        connection.execute(_RESTORED, {"name": month.name})
        details = {"file": path.name, "sha256": month.sha256}
        _record(connection, actor, "audit.restored", month.name, details)
    return str(month.name)


def verify_events(events: Iterable[ArchivedEvent], starts: dict[int, str]) -> tuple[list[ArchivedRun], int]:
    """Verify the events of an archive, and return the stretches of the chain that it holds and the number of its events.

    Parameters
    ----------
    starts
        First number of each stretch -> the hash before it.

    Raises
    ------
    ChainBroken
        An event has not the hash that its content and its predecessor give.
    """
    runs: list[ArchivedRun] = []
    count = first = last = 0
    before = head = ""
    for count, event in enumerate(events, start=1):
        if event.chain_seq != last + 1 or count == 1:
            if count > 1:
                runs.append(ArchivedRun(first, last, before, head))
            first, before = event.chain_seq, starts.get(event.chain_seq, "")
            head = before
        if audit.link_hash(head, event) != event.chain_hash:
            raise ChainBroken(f"event {event.id}: its content, or its predecessor, is not what was chained", hint="run audit verify")
        last, head = event.chain_seq, event.chain_hash
    if count:
        runs.append(ArchivedRun(first, last, before, head))
    return runs, count


def _record(connection: Connection, actor: str, action: str, name: str, details: dict[str, Any]) -> None:
    """Write an event as `db.audit.record` does, within the search path of this module."""
    values = {"actor": actor, "action": action, "subject": f"audit:{name}", "details": json.dumps(details)}
    connection.execute(_RECORD, values)


def _checked_month(connection: Connection, name: str) -> tuple[Row[Any], str]:
    """Return the row of a month that may be archived, and its table."""
    month = connection.execute(_MONTH, {"name": name}).one_or_none()
    if month is None or month.archived_at is not None:
        there = "is archived already" if month is not None else "does not exist"
        raise ConfigurationError(f"the month {name} {there}", hint="dicom-node audit months lists them")
    if not month.ended:
        raise ConfigurationError(f"the month {name} has not ended", hint=f"archive it after {month.ends_at}")
    table = f"public.audit_events_{name}"  # of audit_months, which the node cannot write
    last, open_ = connection.execute(text(f"SELECT max(chain_seq), count(*) FILTER (WHERE chain_seq IS NULL) FROM {table}")).one()
    if last is None and not open_:
        raise ConfigurationError(f"the month {name} has no events", hint="there is nothing to archive")
    if open_:
        raise ConfigurationError(f"{open_} events of the month {name} are not chained yet", hint="start the role relay, which chains them")
    if connection.execute(_HEAD_NUMBER).scalar_one() == last:  # the next event is linked to the hash of the last one in the database
        raise ConfigurationError(f"no event after the month {name} is chained yet", hint="wait until the node has recorded another event")
    if month.has_anchor and month.anchored <= last:
        raise ConfigurationError(
            f"no event after the month {name} is anchored yet",
            hint="wait for the next anchor (audit.interval_s), which the role send takes",
        )
    return month, table


def _archived_month(connection: Connection, path: Path) -> Row[Any]:
    """Return the row of the month that a file holds, after comparing both."""
    header = read_header(path)
    month = connection.execute(_MONTH, {"name": header.name}).one_or_none()
    if month is None or str(month.installation) != header.installation:
        raise ConfigurationError(f"{path} is an archive of another installation", hint="give an archive of this node")
    if month.archived_at is None:
        raise ConfigurationError(f"the month {header.name} is in the database", hint="give archives of months that are archived")
    if file_digest(path) != month.sha256:
        raise ChainBroken(f"{path} is not the file that was archived: its SHA-256 is another", hint="take another copy of the archive")
    return month


def _starts_of_runs(connection: Connection, table: str) -> dict[int, str]:
    """Return the first number of each stretch of the chain in a month -> the hash before it, from the rest of the trail."""
    numbers = connection.execute(
        text(f"SELECT chain_seq FROM (SELECT chain_seq, lag(chain_seq) OVER (ORDER BY chain_seq) AS before FROM {table}) AS e "
             "WHERE before IS DISTINCT FROM chain_seq - 1")
    ).scalars().all()  # fmt: skip
    ends = {run.last: run.head for run in archived_runs(connection).values()}
    found = {}
    for number in numbers:
        before = connection.execute(_HASH_OF, {"number": number - 1}).scalar_one_or_none()
        found[number] = before or ends.get(number - 1) or (audit.GENESIS if number == 1 else "")
    return found
