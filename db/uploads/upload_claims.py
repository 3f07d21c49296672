"""Uploads as the listener sees them: a file is claimed under a lease, read, and its result written; old ones expire."""

import json
from dataclasses import asdict

from sqlalchemy import text

from db.engine import Database
from db.row_values import clean_text
from db.uploads.upload_records import ClaimedFile, FileResult
from db.uploads.uploads import finish_if_complete

MOST_ATTEMPTS = 3
MOST_PROBLEMS = 100
_CLAIM_LOCK = 0x75706C6F6164  # "upload"
# Two files with the same bytes must not be read at the same time: the second one finds the instances of the first.
_CLAIM = text("""
    UPDATE upload_files f SET state = 'taking', attempts = f.attempts + 1, changed_at = node_now(),
        lease_until = node_now() + make_interval(secs => :lease_s)
    FROM uploads u
    WHERE u.id = f.upload_id AND f.id = (
        SELECT w.id FROM upload_files w
        WHERE (w.state = 'received' AND w.not_before <= node_now()) OR (w.state = 'taking' AND w.lease_until < node_now())
        ORDER BY w.id LIMIT 1)
      AND NOT EXISTS (SELECT FROM upload_files o WHERE o.state = 'taking' AND o.id <> f.id AND o.size_bytes = f.size_bytes
                      AND o.lease_until >= node_now())
    RETURNING f.id, f.upload_id, f.ordinal, f.name, f.size_bytes, f.attempts, u.actor, u.statement, u.created_at
""")
_RENEW = text("""
    UPDATE upload_files SET lease_until = node_now() + make_interval(secs => :lease_s)
    WHERE id = :id AND state = 'taking' AND attempts = :attempt RETURNING id
""")
_FINISH = text("""
    UPDATE upload_files SET state = :state, message = :message, instances = :instances, known = :known, studies = :studies,
        problems = CAST(:problems AS jsonb), lease_until = NULL, changed_at = node_now()
    WHERE id = :id AND state = 'taking' AND attempts = :attempt RETURNING upload_id
""")
_RELEASE = text("""
    UPDATE upload_files SET state = 'received', attempts = attempts - 1, lease_until = NULL, message = :message,
        not_before = node_now() + make_interval(secs => :pause_s), changed_at = node_now()
    WHERE id = :id AND state = 'taking' AND attempts = :attempt
""")
_EXPIRE = text("""
    UPDATE upload_files SET state = 'expired', changed_at = node_now(), message = 'it did not arrive completely in time'
    WHERE state = 'receiving' AND changed_at < node_now() - make_interval(secs => :after_s) RETURNING id, upload_id
""")
_DELETE = text("DELETE FROM uploads WHERE finished_at < node_now() - make_interval(secs => :after_s)")
_HELD = text("SELECT id FROM upload_files WHERE state IN ('receiving', 'received', 'taking')")
_STUDY_OF = text("""
    SELECT se.study_id FROM instances i JOIN units u ON u.id = i.unit_id JOIN series se ON se.id = u.series_id
    WHERE i.sop_instance_uid = :uid ORDER BY i.id LIMIT 1
""")
_HAS_OPEN = text("SELECT EXISTS (SELECT FROM upload_files WHERE upload_id = :id AND state IN ('receiving', 'received', 'taking'))")


def claim_file(database: Database, *, lease_s: float) -> ClaimedFile | None:
    """Claim the file that has waited longest; None where none waits. A file of a listener that has died is claimed again."""
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _CLAIM_LOCK})
        row = connection.execute(_CLAIM, {"lease_s": lease_s}).one_or_none()
    return None if row is None else ClaimedFile(*row)


def renew_claim(database: Database, file: ClaimedFile, *, lease_s: float) -> bool:
    """Renew the lease; False where another listener has the file."""
    with database.begin() as connection:
        return connection.execute(_RENEW, {"id": file.id, "attempt": file.attempt, "lease_s": lease_s}).one_or_none() is not None


def finish_file(database: Database, file: ClaimedFile, result: FileResult) -> bool:
    """Write the result of a file. Returns False, and has no effect, where another listener has it."""
    values = {
        "id": file.id,
        "attempt": file.attempt,
        "state": "done" if result.instances else "refused",
        "message": clean_text(result.message),
        "instances": result.instances,
        "known": result.known,
        "studies": list(result.studies),
        "problems": clean_text(json.dumps([asdict(problem) for problem in result.problems[:MOST_PROBLEMS]]).replace("\\u0000", "")),
    }
    with database.begin() as connection:
        finished = connection.execute(_FINISH, values).one_or_none() is not None
        if finished:
            finish_if_complete(connection, file.upload_id)
    return finished


def release_file(database: Database, file: ClaimedFile, *, pause_s: float, message: str) -> None:
    """Give a file back that cannot be stored now; it is claimed again after ``pause_s``. This does not count as an attempt."""
    with database.begin() as connection:
        connection.execute(_RELEASE, {"id": file.id, "attempt": file.attempt, "pause_s": pause_s, "message": message})


def expire_uploads(database: Database, *, incomplete_s: float, finished_s: float) -> list[int]:
    """End files that did not arrive in time, and delete uploads that ended long ago; return the ids of the ended files."""
    with database.begin() as connection:
        expired = connection.execute(_EXPIRE, {"after_s": incomplete_s}).all()
        for upload_id in sorted({row.upload_id for row in expired}):
            finish_if_complete(connection, upload_id)
        connection.execute(_DELETE, {"after_s": finished_s})
    return [row.id for row in expired]


def held_files(database: Database) -> frozenset[int]:
    """Return the ids of the files whose bytes are needed."""
    with database.begin() as connection:
        return frozenset(connection.execute(_HELD).scalars())


def study_of_instance(database: Database, sop_instance_uid: str) -> int | None:
    """Return the study of an instance; None where it has not been received."""
    with database.begin() as connection:
        found = connection.execute(_STUDY_OF, {"uid": sop_instance_uid}).scalar_one_or_none()
    return None if found is None else int(found)


def has_open_files(database: Database, upload_id: int) -> bool:
    """Whether files of an upload are still to come, or to be read."""
    with database.begin() as connection:
        return bool(connection.execute(_HAS_OPEN, {"id": upload_id}).scalar_one())
