"""The registry of pipelines that workers have served, by digest. A name has at most one active pipeline; changes are audited."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from core.errors import ConfigurationError
from core.records import ModelIdentity, RegisteredModel
from core.states import ModelOrigin, ModelState
from db import audit
from db.engine import Database
from db.listings.models import registered_models as registered_models
from db.row_values import row_to_json

# Serialises the changes of one name: a row that does not exist yet cannot be locked.
_LOCK_NAME = text("SELECT pg_advisory_xact_lock(hashtext('models'), hashtext(:name))")
_KNOWN = text("""
    SELECT id, name, version, digest, state, origin, activated_at FROM models
    WHERE CAST(:name AS text) IS NULL OR name = :name ORDER BY id
""")
_ADD = text("""
    INSERT INTO models (name, version, digest, title, manufacturer, status, not_for, state, origin)
    VALUES (:name, :version, :digest, :title, :manufacturer, :status, :not_for, 'standby', :origin) RETURNING id
""")
_SET = text("""
    UPDATE models SET state = :state, activated_at = CASE WHEN :state = 'active' THEN node_now() ELSE activated_at END
    WHERE id = :id
""")
_ACTIVE_FOR = text("SELECT activated_at <= node_now() - make_interval(secs => :seconds) FROM models WHERE id = :id")
_BEFORE = text("""
    SELECT id, version, digest FROM models WHERE name = :name AND state = 'standby' AND activated_at IS NOT NULL
    ORDER BY activated_at DESC LIMIT 1
""")
_LIST = text("""
    SELECT name, version, digest, title, manufacturer, status, not_for, state, origin, registered_at, activated_at
    FROM models ORDER BY id
""")
_ACTIONS = {ModelState.SHADOW: "model.shadowed", ModelState.RETIRED: "model.retired"}


def register_model(
    database: Database, identity: ModelIdentity, *, origin: ModelOrigin = ModelOrigin.PACKAGE, available: Collection[str] = ()
) -> ModelState:
    """Register a pipeline that a worker serves; return its state. A pipeline that is registered already keeps its state.

    A new pipeline becomes active if its name has never had an active one, or if it came with a release that replaced the active one's
    package (``available``: digests of the name that can still be served). Otherwise it is on standby until a person activates it.
    """
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        for row in known:
            if row.digest == identity.digest:
                return ModelState(row.state)
        active = next((row for row in known if row.state == ModelState.ACTIVE), None)
        released = (
            origin is ModelOrigin.PACKAGE and active is not None and active.origin == ModelOrigin.PACKAGE and active.digest not in available
        )
        first = active is None and not any(row.activated_at for row in known)
        id = int(connection.execute(_ADD, asdict(identity) | {"origin": origin.value}).scalar_one())
        state = ModelState.STANDBY
        if first or released:
            state = ModelState.ACTIVE
            _activate(connection, id, active)
        details = _details(identity.name, identity.version, identity.digest)
        details |= {"state": state.value, "before": active.digest if active else None}
        audit.record(connection, actor=f"worker:{identity.name}", action="model.registered", subject=f"model:{id}", details=details)
    return state


def register_on_standby(database: Database, identity: ModelIdentity, *, origin: ModelOrigin, actor: str) -> int:
    """Register a pipeline without making it the active one, also where the name has none; return its number.

    One that is registered keeps its state. A worker that runs it then does not make it active either.
    """
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        id, _ = _row(connection, known, identity, origin)
        if all(row.digest != identity.digest for row in known):
            details = _details(identity.name, identity.version, identity.digest) | {"state": ModelState.STANDBY.value}
            audit.record(connection, actor=actor, action="model.registered", subject=f"model:{id}", details=details)
    return id


def activate_model(database: Database, identity: ModelIdentity, *, origin: ModelOrigin, actor: str) -> bool:
    """Make a pipeline the active one of its name, for new jobs; the one before goes on standby. Returns False if it is active already."""
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        id, state = _row(connection, known, identity, origin)
        if state == ModelState.ACTIVE:
            return False
        active = next((row for row in known if row.state == ModelState.ACTIVE), None)
        _activate(connection, id, active)
        details = _details(identity.name, identity.version, identity.digest) | {"before": active.digest if active else None}
        audit.record(connection, actor=actor, action="model.activated", subject=f"model:{id}", details=details)
    return True


def shadow_or_retire(database: Database, identity: ModelIdentity, state: ModelState, *, origin: ModelOrigin, actor: str) -> bool:
    """Set a pipeline to ``shadow`` or ``retired``; return False if it is in that state. Running jobs of a retired one get no result.

    Raises
    ------
    ConfigurationError
        The pipeline is active: as a shadow, no pipeline of its name would report.
    """
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        id, before = _row(connection, known, identity, origin)
        if before == state:
            return False
        if before == ModelState.ACTIVE and state is ModelState.SHADOW:
            raise ConfigurationError(f"{identity.name} {identity.version} is active", hint="activate another version first")
        details = _details(identity.name, identity.version, identity.digest) | {"was": before}
        _set_state(connection, id, state, details, actor)
    return True


def retire_model(database: Database, model: RegisteredModel, *, actor: str) -> bool:
    """Retire a registered pipeline, as `shadow_or_retire`; nothing of its files is needed."""
    with database.begin() as connection:
        row = next(row for row in _locked(connection, model.name) if row.digest == model.digest)
        if row.state == ModelState.RETIRED:
            return False
        details = _details(model.name, model.version, model.digest) | {"was": str(row.state)}
        _set_state(connection, int(row.id), ModelState.RETIRED, details, actor)
    return True


def demote_model(database: Database, name: str, *, actor: str, reason: str, active_for_s: float = 0.0) -> str:
    """Make the active pipeline of a name a shadow, without another one that serves; return its digest.

    Returns "" and changes nothing where none is active, or where it has been active for less than ``active_for_s``.
    """
    with database.begin() as connection:
        active = next((row for row in _locked(connection, name) if row.state == ModelState.ACTIVE), None)
        if active is None or not connection.execute(_ACTIVE_FOR, {"id": active.id, "seconds": active_for_s}).scalar_one():
            return ""
        connection.execute(_SET, {"id": active.id, "state": ModelState.SHADOW.value})
        details = _details(name, active.version, active.digest) | {"was": ModelState.ACTIVE.value, "reason": reason}
        audit.record(connection, actor=actor, action="model.demoted", subject=f"model:{active.id}", details=details)
    return str(active.digest)


def rollback_model(database: Database, name: str, *, available: Collection[str], actor: str) -> str:
    """Activate the pipeline that was active before; return its digest. A second rollback undoes the first.

    Raises
    ------
    ConfigurationError
        No pipeline was active before, or it is not among the ``available`` digests, which can be served.
    """
    with database.begin() as connection:
        known = _locked(connection, name)
        active = next((row for row in known if row.state == ModelState.ACTIVE), None)
        before = connection.execute(_BEFORE, {"name": name}).one_or_none()
        if before is None:
            raise ConfigurationError(f"no version of {name} was active before this one", hint="dicom-node models list")
        if before.digest not in available:
            raise ConfigurationError(
                f"the previous version of {name}, {before.version} ({before.digest[:12]}), is not installed any more",
                hint="import it again",
            )
        _activate(connection, before.id, active)
        details = _details(name, before.version, before.digest) | {"before": active.digest if active else None}
        audit.record(connection, actor=actor, action="model.rolled_back", subject=f"model:{before.id}", details=details)
    return str(before.digest)


def list_models(database: Database) -> list[dict[str, Any]]:
    """Return all registered pipelines as JSON objects, the oldest first."""
    with database.begin() as connection:
        return [row_to_json(row) for row in connection.execute(_LIST)]


def _locked(connection: Connection, name: str) -> list[Any]:
    """Lock a name and return its pipelines."""
    connection.execute(_LOCK_NAME, {"name": name})
    return list(connection.execute(_KNOWN, {"name": name}).all())


def _row(connection: Connection, known: list[Any], identity: ModelIdentity, origin: ModelOrigin) -> tuple[int, str]:
    """Return (id, state) of a pipeline, after inserting it if it is not registered."""
    for row in known:
        if row.digest == identity.digest:
            return int(row.id), str(row.state)
    return int(connection.execute(_ADD, asdict(identity) | {"origin": origin.value}).scalar_one()), ModelState.STANDBY.value


def _set_state(connection: Connection, id: int, state: ModelState, details: dict[str, Any], actor: str) -> None:
    """Write the state ``shadow`` or ``retired``, with its audit event."""
    connection.execute(_SET, {"id": id, "state": state.value})
    audit.record(connection, actor=actor, action=_ACTIONS[state], subject=f"model:{id}", details=details)


def _activate(connection: Connection, id: int, active: Any) -> None:
    if active is not None:  # first, because a unique index refuses two active ones
        connection.execute(_SET, {"id": active.id, "state": ModelState.STANDBY.value})
    connection.execute(_SET, {"id": id, "state": ModelState.ACTIVE.value})


def _details(name: str, version: str, digest: str) -> dict[str, Any]:
    return {"name": name, "version": version, "digest": digest}
