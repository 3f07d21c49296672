"""Limits on failed sign-ins, per name and per address, so that passwords cannot be tried out."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import text

from db import audit
from db.engine import Database

WINDOW_S = 900  # failures of the last quarter of an hour count
MOST_PER_NAME = 5
MOST_PER_ADDRESS = 30  # several people may share an address
KEPT_S = 86400

# One attempt at a time is counted for a name, and for an address: attempts at the same moment must not all find the same count.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:subject, :kind))")
_NAME_LOCK, _ADDRESS_LOCK = 0x6E616D65, 0x61646472  # "name", "addr"
_ADD = text("INSERT INTO sign_in_failures (name_sha256, address) VALUES (:name, :address) RETURNING id")
_DELETE = text("DELETE FROM sign_in_failures WHERE id = :id")
_DELETE_OLD = text("DELETE FROM sign_in_failures WHERE at < node_now() - make_interval(secs => :kept_s)")
_CLEAR = text("DELETE FROM sign_in_failures WHERE name_sha256 = :name")
_WAIT = text("""
    SELECT greatest(
        (SELECT extract(epoch FROM at + make_interval(secs => :window_s) - node_now()) FROM sign_in_failures
         WHERE name_sha256 = :name AND at > node_now() - make_interval(secs => :window_s) ORDER BY at DESC OFFSET :per_name - 1 LIMIT 1),
        (SELECT extract(epoch FROM at + make_interval(secs => :window_s) - node_now()) FROM sign_in_failures
         WHERE address = :address AND at > node_now() - make_interval(secs => :window_s) ORDER BY at DESC OFFSET :per_address - 1 LIMIT 1))
""")


def _hash_name(name: str) -> str:
    return hashlib.sha256(name.casefold().encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One attempt to sign in: it may not be made for another ``wait_s`` seconds, or it counts as a failure until `delete_attempt`."""

    wait_s: float
    id: int = 0


def begin_attempt(database: Database, name: str, address: str) -> SignInAttempt:
    """Count an attempt before the password is checked, so that attempts at the same moment are no way around the limits."""
    values = {"name": _hash_name(name), "address": address, "window_s": WINDOW_S}
    values |= {"per_name": MOST_PER_NAME, "per_address": MOST_PER_ADDRESS}
    with database.begin() as connection:
        connection.execute(_LOCK, {"subject": values["name"], "kind": _NAME_LOCK})
        connection.execute(_LOCK, {"subject": address, "kind": _ADDRESS_LOCK})
        waiting = max(0.0, float(connection.execute(_WAIT, values).scalar_one() or 0.0))
        if waiting:
            return SignInAttempt(waiting)
        return SignInAttempt(0.0, int(connection.execute(_ADD, {"name": values["name"], "address": address}).scalar_one()))


def delete_attempt(database: Database, attempt: SignInAttempt) -> None:
    """Delete the failure that `begin_attempt` has counted: the password was right."""
    with database.begin() as connection:
        connection.execute(_DELETE, {"id": attempt.id})


def record_failure(database: Database, address: str, *, user_id: int | None) -> None:
    """Record that an attempt failed; ``user_id`` where the name is that of a user. The audit event holds no typed text."""
    subject = "user:unknown" if user_id is None else f"user:{user_id}"
    with database.begin() as connection:
        connection.execute(_DELETE_OLD, {"kept_s": KEPT_S})
        audit.record(connection, actor="anonymous", action="sign_in.failed", subject=subject, details={"from": address})


def clear_failures(database: Database, name: str) -> None:
    """Delete the failed sign-ins of a name after a successful one; those of the address still count."""
    with database.begin() as connection:
        connection.execute(_CLEAR, {"name": _hash_name(name)})
