"""Uploads as the console sees them: begun, resumed, read, cancelled; a file whose last byte has arrived goes to the listener."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from db import audit
from db.engine import Database
from db.notify import notify
from db.row_values import clean_text
from db.uploads.upload_records import AnnouncedFile, EntryProblem, SpooledBytes, Upload, UploadFile

_BEGIN = text("INSERT INTO uploads (actor, statement) VALUES (:actor, CAST(:statement AS jsonb)) RETURNING id")
_ADD_FILE = text("""
    INSERT INTO upload_files (upload_id, ordinal, name, size_bytes, modified_ms, state, message)
    VALUES (:upload_id, :ordinal, :name, :size_bytes, :modified_ms, :state, :message)
""")
_OPEN_OF = text("""
    SELECT id FROM uploads WHERE actor = :actor AND finished_at IS NULL AND statement = CAST(:statement AS jsonb)
    ORDER BY id DESC LIMIT 20
""")
_UPLOAD = text("SELECT * FROM uploads WHERE id = :id AND actor = :actor")
_FILES = text("SELECT * FROM upload_files WHERE upload_id = :id ORDER BY ordinal")
_FILE = text("""
    SELECT f.* FROM upload_files f JOIN uploads u ON u.id = f.upload_id
    WHERE f.id = :id AND f.upload_id = :upload_id AND u.actor = :actor
""")
_RECEIVED = text("""
    UPDATE upload_files SET state = 'received', changed_at = node_now(), not_before = node_now()
    WHERE id = :id AND state = 'receiving' RETURNING id
""")
_TOUCH = text("""
    UPDATE upload_files SET changed_at = node_now()
    WHERE id = :id AND state = 'receiving' AND changed_at < node_now() - interval '60 seconds'
""")
_CANCEL = text("""
    UPDATE upload_files SET state = 'cancelled', changed_at = node_now() WHERE upload_id = :id AND state = 'receiving' RETURNING id
""")
_FINISH = text("""
    UPDATE uploads SET finished_at = node_now() WHERE id = :id AND finished_at IS NULL
    AND NOT EXISTS (SELECT FROM upload_files WHERE upload_id = :id AND state IN ('receiving', 'received', 'taking'))
    RETURNING actor, (SELECT count(*) FROM upload_files WHERE upload_id = :id AND state = 'done') AS done,
        (SELECT count(*) FROM upload_files WHERE upload_id = :id AND state <> 'done') AS others,
        (SELECT coalesce(sum(instances), 0) FROM upload_files WHERE upload_id = :id) AS instances
""")
_SPOOLED = text("""
    SELECT coalesce(sum(f.size_bytes) FILTER (WHERE u.actor = :actor), 0)::bigint AS of_actor,
        coalesce(sum(f.size_bytes), 0)::bigint AS total
    FROM upload_files f JOIN uploads u ON u.id = f.upload_id WHERE f.state IN ('receiving', 'received', 'taking')
""")
_RECENT = text("SELECT * FROM uploads WHERE actor = :actor ORDER BY id DESC LIMIT :limit")


def begin_upload(
    database: Database, *, actor: str, address: str, statement: Mapping[str, str], files: Sequence[AnnouncedFile], resume: bool = True
) -> Upload:
    """Begin an upload; where the same person has announced the same files and statement already, return that one, to be resumed.

    ``resume``: False begins another one in any case.
    """
    values = {"actor": actor, "statement": json.dumps({name: clean_text(value) for name, value in statement.items()})}
    announced = [(clean_text(file.name), file.size_bytes, file.modified_ms) for file in files]
    with database.begin() as connection:
        for row in connection.execute(_OPEN_OF, values) if resume else ():
            found = _read(connection, row.id, actor)
            if found is not None and [(file.name, file.size_bytes, file.modified_ms) for file in found.files] == announced:
                return found
        upload_id = int(connection.execute(_BEGIN, values).scalar_one())
        rows = [
            {"upload_id": upload_id, "ordinal": ordinal, "name": name, "size_bytes": size, "modified_ms": modified,
             "state": "refused" if file.refusal else "receiving", "message": file.refusal}
            for ordinal, (file, (name, size, modified)) in enumerate(zip(files, announced, strict=True), start=1)
        ]  # fmt: skip
        connection.execute(_ADD_FILE, rows)
        details = {"from": address, "files": len(files), "bytes": sum(file.size_bytes for file in files)}
        audit.record(connection, actor=actor, action="upload.begun", subject=f"upload:{upload_id}", details=details)
        finish_if_complete(connection, upload_id)
        begun = _read(connection, upload_id, actor)
    assert begun is not None
    return begun


def read_upload(database: Database, id: int, *, actor: str) -> Upload | None:
    """Return an upload of this person; None where there is none."""
    with database.begin() as connection:
        return _read(connection, id, actor)


def recent_uploads(database: Database, *, actor: str, limit: int = 10) -> list[Upload]:
    """Return the last uploads of this person, the latest first."""
    with database.begin() as connection:
        rows = connection.execute(_RECENT, {"actor": actor, "limit": limit}).all()
        return [_upload(row, connection.execute(_FILES, {"id": row.id}).all()) for row in rows]


def find_file(database: Database, upload_id: int, id: int, *, actor: str) -> UploadFile | None:
    """Return a file of an upload of this person; None where there is none."""
    with database.begin() as connection:
        row = connection.execute(_FILE, {"id": id, "upload_id": upload_id, "actor": actor}).one_or_none()
        return None if row is None else _file(row)


def record_piece(database: Database, id: int, *, complete: bool) -> None:
    """Record that a piece of a file is on disk. With its last byte the file goes to the listener. Repeating it has no effect."""
    with database.begin() as connection:
        if not complete:
            connection.execute(_TOUCH, {"id": id})
        elif connection.execute(_RECEIVED, {"id": id}).one_or_none() is not None:
            notify(connection, "uploads")


def cancel_upload(database: Database, id: int, *, actor: str) -> list[int]:
    """Cancel the files that have not arrived completely; return their ids, so that their bytes can be removed."""
    with database.begin() as connection:
        if connection.execute(_UPLOAD, {"id": id, "actor": actor}).one_or_none() is None:
            return []
        cancelled = [row.id for row in connection.execute(_CANCEL, {"id": id})]
        if cancelled:
            audit.record(connection, actor=actor, action="upload.cancelled", subject=f"upload:{id}", details={"files": len(cancelled)})
        finish_if_complete(connection, id)
    return cancelled


def spooled_bytes(database: Database, actor: str) -> SpooledBytes:
    """Return the sizes of unfinished files, of this person and of all."""
    with database.begin() as connection:
        row = connection.execute(_SPOOLED, {"actor": actor}).one()
    return SpooledBytes(row.of_actor, row.total)


def finish_if_complete(connection: Connection, upload_id: int) -> None:
    """Mark an upload as finished within the caller's transaction, with an audit event, where no file of it is open any more."""
    row = connection.execute(_FINISH, {"id": upload_id}).one_or_none()
    if row is not None:
        details = {"files_taken": row.done, "files_not_taken": row.others, "instances": int(row.instances)}
        audit.record(connection, actor=row.actor, action="upload.finished", subject=f"upload:{upload_id}", details=details)
    notify(connection, "uploads")


def _read(connection: Connection, id: int, actor: str) -> Upload | None:
    row = connection.execute(_UPLOAD, {"id": id, "actor": actor}).one_or_none()
    return None if row is None else _upload(row, connection.execute(_FILES, {"id": id}).all())


def _upload(row: Row[Any], files: Sequence[Row[Any]]) -> Upload:
    return Upload(row.id, row.actor, row.statement, row.created_at, row.finished_at, tuple(_file(file) for file in files))


def _file(row: Row[Any]) -> UploadFile:
    return UploadFile(
        row.id, row.upload_id, row.ordinal, row.name, row.size_bytes, row.modified_ms, row.state, row.message, row.instances, row.known,
        tuple(row.studies), tuple(EntryProblem(**problem) for problem in row.problems),
    )  # fmt: skip
