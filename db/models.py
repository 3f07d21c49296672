"""Every pipeline that was ever served here, by digest; nothing is reported by a retired one."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import text

from core.errors import ConfigurationError
from core.records import ModelIdentity
from db import audit
from db.base import Database
from db.rows import jsonable

STATES = ("active", "shadow", "retired")
_REGISTER = text("""
    INSERT INTO models (name, version, digest, title, manufacturer, status, not_for, state)
    VALUES (:name, :version, :digest, :title, :manufacturer, :status, :not_for, :state)
    ON CONFLICT (digest) DO NOTHING RETURNING id
""")
_SET_STATE = text("UPDATE models SET state = :state WHERE digest = :digest AND state <> :state RETURNING id, name")
_LIST = text("SELECT name, version, digest, title, manufacturer, status, not_for, state, registered_at FROM models ORDER BY id")


def register(database: Database, identity: ModelIdentity, status: str = "active") -> None:
    """A worker serves this pipeline: known from now on, in state ``status``. One that is known keeps its state: retired stays retired.

    Raises
    ------
    ConfigurationError
        ``status`` is none of active, shadow, retired.
    """
    _check(status)
    with database.begin() as connection:
        id = connection.execute(_REGISTER, asdict(identity) | {"state": status}).scalar_one_or_none()
        if id is not None:
            details = {"name": identity.name, "version": identity.version, "digest": identity.digest, "state": status}
            audit.record(connection, actor=f"worker:{identity.name}", action="model.registered", subject=f"model:{id}", details=details)


def set_state(database: Database, digest: str, state: str, actor: str) -> bool:
    """Activate, shadow or retire a pipeline; False when it is unknown or in that state already. Jobs under way are fenced."""
    _check(state)
    with database.begin() as connection:
        row = connection.execute(_SET_STATE, {"digest": digest, "state": state}).one_or_none()
        if row is not None:
            details = {"name": row.name, "digest": digest, "state": state}
            audit.record(connection, actor=actor, action="model.state", subject=f"model:{row.id}", details=details)
    return row is not None


def listing(database: Database) -> list[dict[str, Any]]:
    """All that are known, as JSON objects, the oldest first."""
    with database.begin() as connection:
        return [jsonable(row) for row in connection.execute(_LIST)]


def _check(state: str) -> None:
    if state not in STATES:
        raise ConfigurationError(f"a model is {', '.join(STATES)}, not {state!r}", hint="see models list")
