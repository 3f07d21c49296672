"""Users of the console: added, listed, disabled, and their passwords and roles changed. Each change is an audit event."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from core.errors import ConfigurationError
from db import audit
from db.accounts.access_revocation import end_access
from db.engine import Database

LONGEST_NAME = 64
_COLUMNS = "id, name, role, password_hash, totp_secret, created_at, disabled_at"
_ADD = text("INSERT INTO users (name, role, password_hash) VALUES (:name, :role, :hash) ON CONFLICT (name) DO NOTHING RETURNING id")
_FIND = text(f"SELECT {_COLUMNS} FROM users WHERE name = :name")
_GET = text(f"SELECT {_COLUMNS} FROM users WHERE id = :id")
_LIST = text(f"SELECT {_COLUMNS} FROM users ORDER BY disabled_at IS NOT NULL, name")
_COUNT = text("SELECT count(*) FROM users")
_SET_PASSWORD = text("UPDATE users SET password_hash = :hash, password_changed_at = node_now() WHERE id = :id")
_SET_ROLE = text("UPDATE users SET role = :role WHERE id = :id")
_DISABLE = text("UPDATE users SET disabled_at = node_now() WHERE id = :id AND disabled_at IS NULL")
_ENABLE = text("UPDATE users SET disabled_at = NULL WHERE id = :id")
_SET_TOTP = text("UPDATE users SET totp_secret = :secret, totp_last_step = 0 WHERE id = :id")
_REMOVE_TOTP = text("UPDATE users SET totp_secret = '', totp_last_step = 0 WHERE id = :id AND totp_secret <> ''")
_USE_STEP = text("UPDATE users SET totp_last_step = :step WHERE id = :id AND totp_last_step < :step")
# Locked, in one order: of two changes at the same moment the second one waits, and sees what the first one has left.
_ADMINS = text("SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE")


@dataclass(frozen=True, slots=True)
class User:
    """One person: ``role`` is a word of `console.auth.access.UserRole`; ``password_hash`` is argon2id in the PHC format."""

    id: int
    name: str
    role: str
    password_hash: str
    totp_secret: str
    created_at: datetime
    disabled_at: datetime | None

    @property
    def has_second_factor(self) -> bool:
        """Whether the user has enrolled a second factor."""
        return bool(self.totp_secret)


def user_of_row(row: Row[Any]) -> User:
    """Return the user of a row that has the columns of users among others."""
    return User(row.id, row.name, row.role, row.password_hash, row.totp_secret, row.created_at, row.disabled_at)


def insert_user(connection: Connection, *, name: str, role: str, password_hash: str, actor: str) -> int:
    """Add a user within the caller's transaction and return the number.

    Raises
    ------
    ConfigurationError
        The name is taken.
    """
    id = connection.execute(_ADD, {"name": name, "role": role, "hash": password_hash}).scalar_one_or_none()
    if id is None:
        raise ConfigurationError(f"there is a user {name!r} already", hint="choose another name, or `users password` for a new password")
    audit.record(connection, actor=actor, action="user.added", subject=f"user:{id}", details={"name": name, "role": role})
    return int(id)


def check_name(name: str) -> None:
    """Raise ConfigurationError where a sign-in name cannot be used: the form of sign-in removes spaces around the name."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        message = f"a name has 1 to {LONGEST_NAME} printable characters, and no space before or after it"
        raise ConfigurationError(message, hint=f"{name!r} cannot sign in")


def add_user(database: Database, *, name: str, role: str, password_hash: str, actor: str) -> int:
    """Add a user and return the number. Raises as `check_name` and `insert_user`."""
    check_name(name)
    with database.begin() as connection:
        return insert_user(connection, name=name, role=role, password_hash=password_hash, actor=actor)


def find_user(database: Database, name: str) -> User | None:
    """Return the user with this sign-in name, disabled or not."""
    if "\0" in name:  # PostgreSQL stores no NUL in text
        return None
    with database.begin() as connection:
        row = connection.execute(_FIND, {"name": name}).one_or_none()
    return None if row is None else User(**row._mapping)


def get_user(database: Database, id: int) -> User | None:
    """Return the user with this number, disabled or not."""
    with database.begin() as connection:
        row = connection.execute(_GET, {"id": id}).one_or_none()
    return None if row is None else User(**row._mapping)


def list_users(database: Database) -> list[User]:
    """Return every user by name, disabled ones last."""
    with database.begin() as connection:
        return [User(**row._mapping) for row in connection.execute(_LIST)]


def count_users(database: Database) -> int:
    """Return how many users there are, disabled ones included."""
    with database.begin() as connection:
        return int(connection.execute(_COUNT).scalar_one())


def set_password(database: Database, id: int, password_hash: str, *, actor: str, keep_session: int = 0) -> None:
    """Set a password, and end every session of the user but ``keep_session``, every sign-in link and every API token."""
    with database.begin() as connection:
        connection.execute(_SET_PASSWORD, {"id": id, "hash": password_hash})
        end_access(connection, id, actor=actor, keep_session=keep_session)
        audit.record(connection, actor=actor, action="user.password_set", subject=f"user:{id}")


def set_role(database: Database, id: int, role: str, *, actor: str) -> None:
    """Give a user another role; it holds from the next request on.

    Raises
    ------
    ConfigurationError
        There is no such user, or no other user is an administrator.
    """
    with database.begin() as connection:
        if role != "admin":
            _require_other_admin(connection, id)
        if connection.execute(_SET_ROLE, {"id": id, "role": role}).rowcount == 0:
            raise _no_user(id)
        audit.record(connection, actor=actor, action="user.role_set", subject=f"user:{id}", details={"role": role})


def disable_user(database: Database, id: int, *, actor: str) -> None:
    """Disable a user and end the user's sessions, sign-in links and API tokens. Without effect on a disabled one.

    Raises
    ------
    ConfigurationError
        Nobody else is an administrator.
    """
    with database.begin() as connection:
        _require_other_admin(connection, id)
        if connection.execute(_DISABLE, {"id": id}).rowcount:
            end_access(connection, id, actor=actor)
            audit.record(connection, actor=actor, action="user.disabled", subject=f"user:{id}")


def enable_user(database: Database, id: int, *, actor: str) -> None:
    """Let a disabled user sign in again.

    Raises
    ------
    ConfigurationError
        There is no such user.
    """
    with database.begin() as connection:
        if connection.execute(_ENABLE, {"id": id}).rowcount == 0:
            raise _no_user(id)
        audit.record(connection, actor=actor, action="user.enabled", subject=f"user:{id}")


def set_second_factor(database: Database, id: int, secret: str, *, actor: str) -> None:
    """Store the secret of the second factor."""
    with database.begin() as connection:
        connection.execute(_SET_TOTP, {"id": id, "secret": secret})
        audit.record(connection, actor=actor, action="user.second_factor_set", subject=f"user:{id}")


def remove_second_factor(database: Database, id: int, *, actor: str) -> None:
    """Remove the second factor: the user signs in with the password alone until a new one is set up.

    Raises
    ------
    ConfigurationError
        There is no such user, or the user has none.
    """
    with database.begin() as connection:
        if connection.execute(_REMOVE_TOTP, {"id": id}).rowcount == 0:
            user = connection.execute(_GET, {"id": id}).one_or_none()
            raise (
                _no_user(id) if user is None else ConfigurationError(f"the user {user.name} has no second factor", hint="see `users list`")
            )
        audit.record(connection, actor=actor, action="user.second_factor_removed", subject=f"user:{id}")


def use_second_factor_step(database: Database, id: int, step: int) -> bool:
    """Record that the code of this time step was used; False where it, or a later one, was used before (RFC 6238 5.2)."""
    with database.begin() as connection:
        return connection.execute(_USE_STEP, {"id": id, "step": step}).rowcount == 1


def _no_user(id: int) -> ConfigurationError:
    return ConfigurationError(f"there is no user {id}", hint="see `users list`")


def _require_other_admin(connection: Connection, id: int) -> None:
    others = set(connection.execute(_ADMINS).scalars()) - {id}
    user = connection.execute(_GET, {"id": id}).one_or_none()
    if user is None:
        raise _no_user(id)
    if user.role == "admin" and not others:
        raise ConfigurationError(f"{user.name!r} is the only administrator", hint="make another user administrator first")
