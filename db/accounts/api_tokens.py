"""Tokens for programs: made by a user or an operator, valid until they expire or are revoked. Only their hashes are stored."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from core.errors import ConfigurationError
from db import audit
from db.accounts.sessions import SEEN_EVERY_S, hash_token
from db.accounts.users import User, user_of_row
from db.engine import Database

PREFIX = "dcn_"  # so that programs that search for secrets in source code recognise a token
LONGEST_DAYS = 366
LONGEST_NAME = 100
REFUSED_EVERY_S = 3600

_ADD = text("""
    INSERT INTO api_tokens (user_id, name, token_sha256, scopes, created_by, expires_at)
    VALUES (:user_id, :name, :token, :scopes, :actor, node_now() + make_interval(days => :days)) RETURNING id
""")
_VALID = "t.revoked_at IS NULL AND t.expires_at > node_now() AND u.disabled_at IS NULL"
_FIND = text(f"""
    SELECT t.id AS token_id, t.scopes, coalesce(t.last_used_at < node_now() - make_interval(secs => :seen_every_s), true) AS stale,
           u.id, u.name, u.role, u.password_hash, u.totp_secret, u.created_at, u.disabled_at
    FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_sha256 = :token AND {_VALID}
""")
_USED = text("UPDATE api_tokens SET last_used_at = node_now() WHERE id = :id")
_REFUSED = text("""
    UPDATE api_tokens SET refused_at = node_now() WHERE token_sha256 = :token
      AND coalesce(refused_at < node_now() - make_interval(secs => :every_s), true) RETURNING id, revoked_at IS NOT NULL AS revoked
""")
_LIST = text(f"""
    SELECT t.id, u.name AS user_name, t.name, t.scopes, t.created_by, t.created_at, t.expires_at, t.last_used_at, t.revoked_at,
           {_VALID} AS valid
    FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE CAST(:user_id AS bigint) IS NULL OR t.user_id = :user_id
    ORDER BY {_VALID} DESC, t.id DESC LIMIT 200
""")
_REVOKE = text("""
    UPDATE api_tokens SET revoked_at = node_now()
    WHERE id = :id AND revoked_at IS NULL AND (CAST(:user_id AS bigint) IS NULL OR user_id = :user_id)
""")


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token as lists show it; the secret itself is shown only once, when the token is made."""

    id: int
    user_name: str
    name: str
    scopes: Sequence[str]
    created_by: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    valid: bool


@dataclass(frozen=True, slots=True)
class TokenUse:
    """A valid token that a request has brought, and the user in whose name it acts."""

    id: int
    user: User
    scopes: frozenset[str]


def add_token(database: Database, user: User, *, name: str, scopes: Sequence[str], days: int, actor: str) -> str:
    """Make a token that is valid for ``days`` days, and return it; it is stored nowhere.

    Raises
    ------
    ConfigurationError
        Name, scopes or duration cannot be used.
    """
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigurationError(f"the name of a token has 1 to {LONGEST_NAME} printable characters", hint="say what it is for")
    if not 1 <= days <= LONGEST_DAYS:
        raise ConfigurationError(f"a token is valid for 1 to {LONGEST_DAYS} days, not {days}", hint="make a new one before it expires")
    if not scopes:
        raise ConfigurationError("a token needs at least one scope", hint="choose what the program may do")
    token, kept = PREFIX + secrets.token_urlsafe(32), sorted(set(scopes))
    values = {"user_id": user.id, "name": name, "token": hash_token(token), "scopes": kept, "actor": actor, "days": days}
    details = {"user": user.name, "name": name, "scopes": kept, "days": days}
    with database.begin() as connection:
        id = connection.execute(_ADD, values).scalar_one()
        audit.record(connection, actor=actor, action="token.made", subject=f"token:{id}", details=details)
    return token


def find_token(database: Database, token: str, *, address: str) -> TokenUse | None:
    """Return the valid token of a request. None for an unknown one, and for one that is no longer valid: this is an audit event."""
    with database.begin() as connection:
        row = connection.execute(_FIND, {"token": hash_token(token), "seen_every_s": SEEN_EVERY_S}).one_or_none()
        if row is None:
            refused = connection.execute(_REFUSED, {"token": hash_token(token), "every_s": REFUSED_EVERY_S}).one_or_none()
            if refused is not None:
                details = {"from": address, "revoked": refused.revoked}
                audit.record(connection, actor="anonymous", action="token.refused", subject=f"token:{refused.id}", details=details)
            return None
        if row.stale:
            connection.execute(_USED, {"id": row.token_id})
    return TokenUse(row.token_id, user_of_row(row), frozenset(row.scopes))


def list_tokens(database: Database, user: User | None = None) -> list[ApiToken]:
    """Return the tokens of a user, or of all users: valid ones first, then the newest first."""
    with database.begin() as connection:
        return [ApiToken(**row._mapping) for row in connection.execute(_LIST, {"user_id": None if user is None else user.id})]


def revoke_token(database: Database, id: int, *, user: User | None, actor: str) -> bool:
    """Revoke a token at once; False where there is none with this number, where it is another user's, or was revoked before."""
    with database.begin() as connection:
        done = connection.execute(_REVOKE, {"id": id, "user_id": None if user is None else user.id}).rowcount == 1
        if done:
            audit.record(connection, actor=actor, action="token.revoked", subject=f"token:{id}")
    return done
