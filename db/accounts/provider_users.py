"""Users who sign in by a provider of OpenID Connect: added at the first sign-in, with the role that the provider states each time."""

from sqlalchemy import Connection, text

from core.errors import ConfigurationError
from db import audit
from db.accounts.users import User, get_user, set_role
from db.engine import Database

_FIND = text("SELECT id, role FROM users WHERE oidc_issuer = :issuer AND oidc_subject = :subject")
_ADD = text("""
    INSERT INTO users (name, role, password_hash, oidc_issuer, oidc_subject) VALUES (:name, :role, '', :issuer, :subject)
    ON CONFLICT (name) DO NOTHING RETURNING id
""")


def provider_user(database: Database, *, issuer: str, subject: str, name: str, role: str) -> User:
    """Return the user of a verified ID token. A user is known by issuer and subject; the name is that of the first sign-in.

    Raises
    ------
    ConfigurationError
        The user is disabled, another user has the name, or the new role would leave no administrator.
    """
    with database.begin() as connection:
        row = connection.execute(_FIND, {"issuer": issuer, "subject": subject}).one_or_none()
        id = _add(connection, issuer, subject, name, role) if row is None else int(row.id)
    if row is not None and row.role != role:
        set_role(database, id, role, actor="oidc")
    user = get_user(database, id)
    if user is None or user.disabled_at is not None:
        raise ConfigurationError("this user is disabled", hint="ask an administrator")
    return user


def _add(connection: Connection, issuer: str, subject: str, name: str, role: str) -> int:
    added = connection.execute(_ADD, {"name": name, "role": role, "issuer": issuer, "subject": subject}).scalar_one_or_none()
    if added is None:
        raise ConfigurationError("another user of the console has this name", hint="ask an administrator")
    audit.record(connection, actor="oidc", action="user.added", subject=f"user:{added}", details={"name": name, "role": role})
    return int(added)
