"""Takes anchors: compares the chain with its last anchor, and appends the present head to the file.

An anchored head cannot be taken back: events that are deleted or rewritten afterwards are found by the comparison, within a minute by
the node itself, and by `db.anchor.verification` at any time. One process at a time takes anchors (an advisory lock).

A file that begins although the database knows of an anchor is an audit event, and its first line says so: the file before was deleted, or
belongs to another machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, text

from core.failpoints import failpoint
from db import audit
from db.anchor.anchor_file import FIRST, Anchor, SignedLine, append_line, last_line
from db.anchor.anchor_state import AnchorState, keep_state, read_state
from db.engine import Database

ANCHOR_LOCK = 0x616E63686F72  # "anchor"

_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_HEAD = text("""
    SELECT clock_timestamp() AS at, (SELECT id FROM installation) AS installation, head.chain_seq AS number, head.chain_hash AS hash
    FROM (SELECT 1) AS one LEFT JOIN LATERAL (
        SELECT chain_seq, chain_hash FROM audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq DESC LIMIT 1) AS head ON true
""")
_HASH_OF = text("SELECT chain_hash FROM audit_events WHERE chain_seq = :number")


def take_anchor(database: Database, path: Path, key: Ed25519PrivateKey) -> SignedLine | None:
    """Compare the chain with its last anchor, and append its head where events were added.

    Returns
    -------
    SignedLine or None
        The new line; None where nothing was added, the chain does not fit (`anchor_state` says why), or another process is at it.

    Raises
    ------
    StorageError
        The database or the file is unavailable.
    """
    with database.begin() as connection:
        if not connection.execute(_LOCK, {"lock": ANCHOR_LOCK}).scalar_one():
            return None
        head, last = connection.execute(_HEAD).one(), last_line(path)
        known = read_state(connection) if last is None else None
        begun = {"after": known.number} if known is not None and known.number else {}
        problem = _difference(connection, head, last, known)
        number, value = (last.anchor.number, last.anchor.hash) if last is not None else (0, FIRST)
        if problem and known is not None:
            number, value = known.number, known.hash
        added = None
        if not problem and head.number is not None and head.number > number:
            number, value = head.number, head.hash
            added = append_line(path, key, _anchor("anchor", head, last, begun))
            if begun:
                audit.record(connection, actor="send", action="audit.anchor_begun", subject="audit", details=begun)
            failpoint("anchor.written")
        keep_state(connection, number, value, problem)
    return added


def record_restore(database: Database, path: Path, key: Ed25519PrivateKey, details: Mapping[str, Any]) -> None:
    """Append that the database was restored from a backup: events after its head are missing from now on, and rightly.

    Does nothing where there is no anchor yet.

    Raises
    ------
    StorageError
        The database or the file is unavailable.
    """
    with database.begin() as connection:
        head, last = connection.execute(_HEAD).one(), last_line(path)
        if last is not None:
            append_line(path, key, _anchor("restored", head, last, details))


def append_time_stamp(database: Database, path: Path, key: Ed25519PrivateKey, of: SignedLine, token: str) -> None:
    """Append the answer of a time-stamp service over an earlier line (base64 of its DER)."""
    with database.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ANCHOR_LOCK})
        last, stamped = last_line(path), of.anchor
        previous = last.digest if last is not None else FIRST
        details = {"of": of.digest, "token": token}
        now = connection.execute(text("SELECT clock_timestamp()")).scalar_one().isoformat()
        append_line(path, key, Anchor("time_stamp", stamped.installation, stamped.number, stamped.hash, now, previous, details))


def _difference(connection: Connection, head: Any, last: SignedLine | None, known: AnchorState | None) -> str:
    """Return why the chain does not fit its last anchor, or where there is no file, what the database knows of it; "" where it fits."""
    if last is not None and last.anchor.installation != str(head.installation):
        return "the anchor file belongs to another installation"
    anchored = last.anchor if last is not None else known
    if anchored is None or anchored.number == 0:
        return ""
    found = connection.execute(_HASH_OF, {"number": anchored.number}).scalar_one_or_none()
    if found is None:
        return f"event {anchored.number} of the chain, which was anchored, is missing"
    return "" if found == anchored.hash else f"event {anchored.number} of the chain has another hash than its anchor"


def _anchor(kind: str, head: Any, last: SignedLine | None, details: Mapping[str, Any] | None = None) -> Anchor:
    previous = last.digest if last is not None else FIRST
    return Anchor(kind, str(head.installation), head.number or 0, head.hash or FIRST, head.at.isoformat(), previous, dict(details or {}))
