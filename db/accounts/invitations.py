"""Invitations: links with which a person registers once, with a name and a role that were chosen by the inviting person."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from core.errors import ConfigurationError
from db import audit
from db.accounts.sessions import hash_token
from db.accounts.users import check_name, insert_user
from db.engine import Database

VALID_S = 3 * 86400

_REPLACE = text("UPDATE invitations SET used_at = node_now() WHERE name = :name AND used_at IS NULL")
_ADD = text("""
    INSERT INTO invitations (token_sha256, name, role, created_by, expires_at)
    VALUES (:token, :name, :role, :actor, node_now() + make_interval(secs => :valid_s)) RETURNING id
""")
# Not of a user who may no longer invite: an administrator whose rights were taken away must not come back with a link made before.
_VALID = """token_sha256 = :token AND used_at IS NULL AND expires_at > node_now()
    AND NOT EXISTS (SELECT FROM users u WHERE 'user:' || u.name = created_by AND (u.disabled_at IS NOT NULL OR u.role <> 'admin'))"""
_FIND = text(f"SELECT id, name, role, expires_at FROM invitations WHERE {_VALID}")
_USE = text(f"UPDATE invitations SET used_at = node_now() WHERE {_VALID} RETURNING id, name, role")


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that is valid now."""

    id: int
    name: str
    role: str
    expires_at: datetime


def invite_user(database: Database, *, name: str, role: str, actor: str) -> str:
    """Return the token of a new invitation, valid for three days; it replaces an older one for the same name. Raises as `check_name`."""
    check_name(name)
    token = secrets.token_urlsafe(32)
    values = {"token": hash_token(token), "name": name, "role": role, "actor": actor, "valid_s": VALID_S}
    with database.begin() as connection:
        connection.execute(_REPLACE, {"name": name})
        id = connection.execute(_ADD, values).scalar_one()
        audit.record(connection, actor=actor, action="user.invited", subject=f"invitation:{id}", details={"name": name, "role": role})
    return token


def find_invitation(database: Database, token: str) -> Invitation | None:
    """Return the invitation of a link; None where it was used, replaced, is too old, or who invited may no longer do so."""
    with database.begin() as connection:
        row = connection.execute(_FIND, {"token": hash_token(token)}).one_or_none()
    return None if row is None else Invitation(**row._mapping)


def accept_invitation(database: Database, token: str, password_hash: str) -> int:
    """Add the invited user and return the number; the invitation is used up in the same transaction.

    Raises
    ------
    ConfigurationError
        The invitation is not valid now, or the name was taken meanwhile.
    """
    with database.begin() as connection:
        row = connection.execute(_USE, {"token": hash_token(token)}).one_or_none()
        if row is None:
            raise ConfigurationError("this invitation was used already or is too old", hint="ask for a new one")
        return insert_user(connection, name=row.name, role=row.role, password_hash=password_hash, actor=f"invitation:{row.id}")
