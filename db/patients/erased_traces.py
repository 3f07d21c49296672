"""Deletes what is stored of a person beside the studies: refused data sets, uploads, requests of sources, saved searches."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.errors import NodeError
from db.blobs import removals
from db.engine import Database
from db.patients.erasure_record import Erasure, count_deleted
from db.patients.of_studies import COMMITMENT_REQUESTS, IMAGES, OF_STUDIES, UPLOADED_FILES
from db.patients.patient_key import PatientKey
from db.patients.saved_searches import find_saved_searches

_QUARANTINED = text("DELETE FROM quarantine WHERE id = ANY(CAST(:ids AS bigint[])) RETURNING sha256, size_bytes")
_LOCK_FILES = text(f"SELECT f.id, f.upload_id, f.state FROM {UPLOADED_FILES} ORDER BY f.id FOR UPDATE OF f")
_FILES = text("DELETE FROM upload_files WHERE id = ANY(CAST(:ids AS bigint[]))")
_UPLOADS = text("""
    DELETE FROM uploads p WHERE id = ANY(CAST(:ids AS bigint[])) AND NOT EXISTS (SELECT FROM upload_files f WHERE f.upload_id = p.id)
""")
_REQUESTS = text(f"""
    SELECT id, state, sop_class_uids, sop_instance_uids FROM source_commitment_requests
    WHERE id = ANY(ARRAY(SELECT found.id FROM ({COMMITMENT_REQUESTS}) AS found)) ORDER BY id FOR UPDATE
""")
_UIDS = text(f"SELECT DISTINCT i.sop_instance_uid FROM {IMAGES} {OF_STUDIES}")
_HELD = text("SELECT sop_instance_uid FROM instances WHERE sop_instance_uid = ANY(:uids)")
_KEEP_OTHERS = text("""
    UPDATE source_commitment_requests SET sop_class_uids = :classes, sop_instance_uids = :instances WHERE id = :id
""")
_REQUEST = text("DELETE FROM source_commitment_requests WHERE id = :id")
_SEARCHES = text("DELETE FROM saved_views WHERE id = ANY(CAST(:ids AS bigint[]))")


def erase_traces(
    database: Database, patient: PatientKey, erasure: Erasure, quarantined: Sequence[int], *, cancel: bool = False
) -> tuple[int, ...]:
    """Delete all of it, kind by kind; to be called while the studies are there, by which it is found.

    Returns
    -------
    tuple of int
        Numbers of uploaded files whose rows were deleted: the bytes of unfinished ones are in the upload folder.

    Raises
    ------
    NodeError
        The listener reads an uploaded file of this person at this moment, or, without ``cancel``, one waits for it.
    """
    values = {"studies": list(erasure.studies), "patient_id": patient.patient_id, "issuer": patient.issuer}
    with database.begin() as connection:
        rows = connection.execute(_QUARANTINED, {"ids": list(quarantined)}).all()
        removals.request_removals(connection, ((row.sha256, row.size_bytes) for row in rows))
        size = sum(row.size_bytes for row in rows)
        count_deleted(connection, erasure, {"quarantined": len(rows), "files": len(rows), "bytes": size})
    with database.begin() as connection:
        count_deleted(connection, erasure, {"commitment_requests": _erase_requests(connection, erasure)})
    with database.begin() as connection:
        searches = find_saved_searches(connection, patient, erasure.studies)
        connection.execute(_SEARCHES, {"ids": searches})
        count_deleted(connection, erasure, {"saved_searches": len(searches)})
    with database.begin() as connection:
        files = _erase_files(connection, values, cancel=cancel)
        count_deleted(connection, erasure, {"uploaded_files": len(files)})
    return files


def _erase_files(connection: Connection, values: dict[str, Any], *, cancel: bool) -> tuple[int, ...]:
    files = connection.execute(_LOCK_FILES, values).all()
    if any(file.state == "taking" for file in files):
        raise NodeError("an uploaded file of this person is being read", hint="wait until it is taken, then run the command again")
    if not cancel and any(file.state in ("receiving", "received") for file in files):
        raise NodeError("a file of this person was uploaded meanwhile", hint="wait until it is taken, or add --cancel")
    connection.execute(_FILES, {"ids": [file.id for file in files]})
    connection.execute(_UPLOADS, {"ids": sorted({file.upload_id for file in files})})
    return tuple(file.id for file in files)


def _erase_requests(connection: Connection, erasure: Erasure) -> int:
    """Take the images of the studies from the requests that list them; a request that lists nothing else is deleted.

    What the node does not hold, such as an image that it refused, goes too: it was listed with images of the person. Not of a request that
    waits for its answer, which then says that the node does not hold it.
    """
    values = {"studies": list(erasure.studies)}
    requests = connection.execute(_REQUESTS, values).all()
    erased = set(connection.execute(_UIDS, values).scalars()) if requests else set()
    for request in requests:
        listed = zip(request.sop_class_uids, request.sop_instance_uids, strict=True)
        kept_uids = set(request.sop_instance_uids) - erased
        if request.state != "pending":
            kept_uids &= set(connection.execute(_HELD, {"uids": sorted(kept_uids)}).scalars())
        others = [(sop_class, uid) for sop_class, uid in listed if uid in kept_uids]
        if others:
            kept = {"classes": [sop_class for sop_class, _ in others], "instances": [uid for _, uid in others]}
            connection.execute(_KEEP_OTHERS, {"id": request.id, **kept})
        else:
            connection.execute(_REQUEST, {"id": request.id})
    return len(requests)
