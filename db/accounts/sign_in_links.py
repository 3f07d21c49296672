"""Links with which a user signs in once without a password: for the demo, and for a user who has lost the password."""

import secrets

from sqlalchemy import text

from db import audit
from db.accounts.sessions import hash_token
from db.accounts.users import User, get_user
from db.engine import Database

VALID_S = 900

_REPLACE = text("UPDATE sign_in_links SET used_at = node_now() WHERE user_id = :user_id AND used_at IS NULL")
_ADD = text("""
    INSERT INTO sign_in_links (user_id, token_sha256, created_by, expires_at)
    VALUES (:user_id, :token, :actor, node_now() + make_interval(secs => :valid_s)) RETURNING id
""")
_IS_VALID = text("SELECT EXISTS (SELECT FROM sign_in_links WHERE token_sha256 = :token AND used_at IS NULL AND expires_at > node_now())")
_USE = text("""
    UPDATE sign_in_links SET used_at = node_now()
    WHERE token_sha256 = :token AND used_at IS NULL AND expires_at > node_now() RETURNING user_id
""")


def make_sign_in_link(database: Database, user: User, *, actor: str, valid_s: float = VALID_S) -> str:
    """Return the token of a new link, valid for ``valid_s`` seconds; it replaces an older one of the same user."""
    token = secrets.token_urlsafe(32)
    values = {"user_id": user.id, "token": hash_token(token), "actor": actor, "valid_s": valid_s}
    with database.begin() as connection:
        connection.execute(_REPLACE, {"user_id": user.id})
        connection.execute(_ADD, values)
        audit.record(connection, actor=actor, action="user.sign_in_link_made", subject=f"user:{user.id}")
    return token


def is_valid_sign_in_link(database: Database, token: str) -> bool:
    """Whether a link may still be used: it was neither used nor replaced, and is not too old."""
    with database.begin() as connection:
        found: bool = connection.execute(_IS_VALID, {"token": hash_token(token)}).scalar_one()
    return found


def use_sign_in_link(database: Database, token: str) -> User | None:
    """Return the user of a link and use it up; None where it was used, replaced, is too old, or the user is disabled."""
    with database.begin() as connection:
        user_id = connection.execute(_USE, {"token": hash_token(token)}).scalar_one_or_none()
    user = None if user_id is None else get_user(database, user_id)
    return None if user is None or user.disabled_at is not None else user
