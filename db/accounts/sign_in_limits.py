"""Limits on failed sign-ins, per name and per address, so that passwords cannot be tried out."""

import hashlib

from sqlalchemy import text

from db import audit
from db.engine import Database

WINDOW_S = 900  # failures of the last quarter of an hour count
MOST_PER_NAME = 5
MOST_PER_ADDRESS = 30  # several people may share an address
KEPT_S = 86400

_ADD = text("INSERT INTO sign_in_failures (name_sha256, address) VALUES (:name, :address)")
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


def seconds_until_sign_in(database: Database, name: str, address: str) -> float:
    """Return for how long neither this name nor this address may try again; 0 where they may."""
    values = {"name": _hash_name(name), "address": address, "window_s": WINDOW_S}
    values |= {"per_name": MOST_PER_NAME, "per_address": MOST_PER_ADDRESS}
    with database.begin() as connection:
        waiting = connection.execute(_WAIT, values).scalar_one()
    return max(0.0, float(waiting or 0.0))


def record_failure(database: Database, name: str, address: str, *, user_id: int | None) -> None:
    """Record a failed sign-in; ``user_id`` where the name is that of a user. The audit event holds no typed text."""
    subject = "user:unknown" if user_id is None else f"user:{user_id}"
    with database.begin() as connection:
        connection.execute(_ADD, {"name": _hash_name(name), "address": address})
        connection.execute(_DELETE_OLD, {"kept_s": KEPT_S})
        audit.record(connection, actor="anonymous", action="sign_in.failed", subject=subject, details={"from": address})


def clear_failures(database: Database, name: str) -> None:
    """Forget the failures of a name after a successful sign-in; those of the address still count."""
    with database.begin() as connection:
        connection.execute(_CLEAR, {"name": _hash_name(name)})
