"""Sessions of the console: opened at sign-in, found by the token of the cookie, ended by sign-out, by a person or by a time limit."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from db import audit
from db.accounts.users import User, user_of_row
from db.engine import Database

SEEN_EVERY_S = 30  # the time of the last use is written at most this often
CONFIRM_WITHIN_S = 300  # a session whose second factor is not confirmed ends

_OPEN = text("""
    INSERT INTO sessions (user_id, token_sha256, form_token, address, user_agent, confirmed_at)
    VALUES (:user_id, :token, :form_token, :address, :user_agent, CASE WHEN :confirmed THEN node_now() END) RETURNING id
""")
_FIND = text("""
    SELECT s.id AS session_id, s.form_token, s.confirmed_at IS NOT NULL AS confirmed,
           s.last_seen_at < node_now() - make_interval(secs => :seen_every_s) AS stale,
           extract(epoch FROM s.last_seen_at - node_now())::float8 + :idle_s AS idle_left_s,
           extract(epoch FROM s.created_at - node_now())::float8 + :max_s AS age_left_s,
           u.id, u.name, u.role, u.password_hash, u.totp_secret, u.created_at, u.disabled_at
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.token_sha256 = :token AND s.ended_at IS NULL AND u.disabled_at IS NULL
      AND s.created_at > node_now() - make_interval(secs => :max_s)
      AND s.last_seen_at > node_now() - make_interval(secs => :idle_s)
      AND (s.confirmed_at IS NOT NULL OR s.created_at > node_now() - make_interval(secs => :confirm_s))
""")
_SEEN = text("UPDATE sessions SET last_seen_at = node_now() WHERE id = :id")
_END = text("UPDATE sessions SET ended_at = node_now() WHERE id = :id AND user_id = :user_id AND ended_at IS NULL")
_LIST = text("""
    SELECT id, address, user_agent, created_at, last_seen_at FROM sessions
    WHERE user_id = :user_id AND ended_at IS NULL AND confirmed_at IS NOT NULL
      AND created_at > node_now() - make_interval(secs => :max_s) AND last_seen_at > node_now() - make_interval(secs => :idle_s)
    ORDER BY last_seen_at DESC
""")


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Seconds without use, and seconds since sign-in, after which a session is no longer valid."""

    idle_s: float
    max_s: float


@dataclass(frozen=True, slots=True)
class Session:
    """A valid session with its user. ``confirmed``: the second factor was accepted, or is not needed.

    ``idle_left_s``: seconds after which it ends unless it is used; ``age_left_s``: seconds after which it ends in any case.
    """

    id: int
    user: User
    form_token: str
    confirmed: bool
    idle_left_s: float = 0.0
    age_left_s: float = 0.0


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One line of the list in which a user sees the user's own sessions."""

    id: int
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime


def hash_token(token: str) -> str:
    """Return the SHA-256 under which a random token is stored; the token itself has 256 random bits and needs no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(database: Database, user: User, *, address: str, user_agent: str) -> str:
    """Open a session and return its token, which is stored nowhere; unconfirmed where the user has a second factor."""
    token = secrets.token_urlsafe(32)
    values = {
        "user_id": user.id,
        "token": hash_token(token),
        "form_token": secrets.token_urlsafe(32),
        "address": address,
        "user_agent": user_agent[:200],
        "confirmed": not user.has_second_factor,
    }
    with database.begin() as connection:
        id = connection.execute(_OPEN, values).scalar_one()
        if not user.has_second_factor:
            audit.record(connection, actor=f"user:{user.name}", action="session.opened", subject=f"session:{id}", details={"from": address})
    return token


def confirm_session(database: Database, session: Session, *, address: str) -> str:
    """Replace a session whose second factor was accepted by a confirmed one, and return its new token."""
    token = secrets.token_urlsafe(32)
    statement = text("UPDATE sessions SET confirmed_at = node_now(), token_sha256 = :token WHERE id = :id")
    with database.begin() as connection:
        connection.execute(statement, {"id": session.id, "token": hash_token(token)})
        actor, details = f"user:{session.user.name}", {"from": address, "second_factor": True}
        audit.record(connection, actor=actor, action="session.opened", subject=f"session:{session.id}", details=details)
    return token


def find_session(database: Database, token: str, limits: SessionLimits, *, used: bool) -> Session | None:
    """Return the valid session of a cookie's token; None where it ended, timed out, or its user is disabled.

    ``used``: a person made the request, so that the idle time begins anew.
    """
    values = {"token": hash_token(token), "idle_s": limits.idle_s, "max_s": limits.max_s}
    values |= {"seen_every_s": SEEN_EVERY_S, "confirm_s": CONFIRM_WITHIN_S}
    with database.begin() as connection:
        row = connection.execute(_FIND, values).one_or_none()
        if row is None:
            return None
        if used and row.stale:
            connection.execute(_SEEN, {"id": row.session_id})
    idle_left_s = limits.idle_s if used else row.idle_left_s
    return Session(row.session_id, user_of_row(row), row.form_token, row.confirmed, idle_left_s, row.age_left_s)


def end_session(database: Database, id: int, user: User) -> bool:
    """End one session of ``user``; False where it is not the user's own, or has ended."""
    with database.begin() as connection:
        ended = connection.execute(_END, {"id": id, "user_id": user.id}).rowcount == 1
        if ended:
            audit.record(connection, actor=f"user:{user.name}", action="session.ended", subject=f"session:{id}")
    return ended


def list_sessions(database: Database, user: User, limits: SessionLimits) -> list[OpenSession]:
    """Return the valid sessions of a user, the most recently used first."""
    values = {"user_id": user.id, "idle_s": limits.idle_s, "max_s": limits.max_s}
    with database.begin() as connection:
        return [OpenSession(**row._mapping) for row in connection.execute(_LIST, values)]
