"""Every pipeline that was ever served here, by digest. A name has at most one active; each change is an audited act."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, text

from core.errors import ConfigurationError
from core.records import ModelIdentity, RegisteredModel
from core.states import ModelOrigin, ModelState
from db import audit
from db.engine import Database
from db.row_values import jsonable

# All changes of one name, one after the other: a row that is not there yet cannot be locked.
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
_BEFORE = text("""
    SELECT id, version, digest FROM models WHERE name = :name AND state = 'standby' AND activated_at IS NOT NULL
    ORDER BY activated_at DESC LIMIT 1
""")
_LIST = text("""
    SELECT name, version, digest, title, manufacturer, status, not_for, state, origin, registered_at, activated_at
    FROM models ORDER BY id
""")
# Units that both have answered, the newest answer of each.
_COMPARE = text("""
    WITH answers AS (
        SELECT DISTINCT ON (unit_id, pipeline_digest) id, unit_id, revision, pipeline_digest, model, model_version, shadow, outcome,
               (SELECT f.label FROM findings f WHERE f.job_id = j.id ORDER BY f.ordinal LIMIT 1) AS label,
               (SELECT count(*) FROM findings f WHERE f.job_id = j.id) AS findings
        FROM jobs j WHERE model = :name AND outcome IS NOT NULL ORDER BY unit_id, pipeline_digest, revision DESC, run DESC)
    SELECT s.model_version AS shadow_version, s.pipeline_digest AS shadow_digest, a.model_version AS reported_version,
           a.pipeline_digest AS reported_digest, count(*) AS units,
           count(*) FILTER (WHERE s.outcome = a.outcome) AS same_outcome,
           count(*) FILTER (WHERE s.label IS NOT DISTINCT FROM a.label) AS same_first_finding,
           round(avg(s.findings), 3)::float8 AS shadow_findings, round(avg(a.findings), 3)::float8 AS reported_findings,
           coalesce(jsonb_agg(s.id ORDER BY s.id) FILTER (WHERE s.outcome <> a.outcome OR s.label IS DISTINCT FROM a.label), '[]')
               AS differing_jobs
    FROM answers s JOIN answers a ON a.unit_id = s.unit_id AND a.revision = s.revision AND NOT a.shadow
    WHERE s.shadow GROUP BY 1, 2, 3, 4 ORDER BY 2, 4
""")


def register(
    database: Database, identity: ModelIdentity, *, origin: ModelOrigin = ModelOrigin.PACKAGE, here: Collection[str] = ()
) -> ModelState:
    """A worker serves this pipeline: known from now on; gives its state. One that is known keeps its state.

    A new one is active where its name has never had an active one, or where it comes with a release that took the place
    of the active one's (``here``: digests of the name that are still there); else it stands by until a person activates it.
    """
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        for row in known:
            if row.digest == identity.digest:
                return ModelState(row.state)
        active = next((row for row in known if row.state == ModelState.ACTIVE), None)
        released = (
            origin is ModelOrigin.PACKAGE and active is not None and active.origin == ModelOrigin.PACKAGE and active.digest not in here
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


def activate(database: Database, identity: ModelIdentity, *, origin: ModelOrigin, actor: str) -> bool:
    """New jobs are for this pipeline from now on; the active one before stands by. False where it is active already."""
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


def set_aside(database: Database, identity: ModelIdentity, state: ModelState, *, origin: ModelOrigin, actor: str) -> bool:
    """To ``shadow`` or ``retired``. False where it is that already. Jobs under way of a retired one end without result.

    Raises
    ------
    ConfigurationError
        The active one is to be a shadow: then nothing would report.
    """
    actions = {ModelState.SHADOW: "model.shadowed", ModelState.RETIRED: "model.retired"}
    with database.begin() as connection:
        known = _locked(connection, identity.name)
        id, before = _row(connection, known, identity, origin)
        if before == state:
            return False
        if before == ModelState.ACTIVE and state is ModelState.SHADOW:
            raise ConfigurationError(f"{identity.name} {identity.version} is active", hint="activate another version first")
        connection.execute(_SET, {"id": id, "state": state.value})
        details = _details(identity.name, identity.version, identity.digest) | {"was": before}
        audit.record(connection, actor=actor, action=actions[state], subject=f"model:{id}", details=details)
    return True


def rollback(database: Database, name: str, *, here: Collection[str], actor: str) -> str:
    """Activate again what was active before; gives its digest. A second rollback undoes the first.

    Raises
    ------
    ConfigurationError
        There is nothing before, or it is not ``here`` (digests that can be served) any more.
    """
    with database.begin() as connection:
        known = _locked(connection, name)
        active = next((row for row in known if row.state == ModelState.ACTIVE), None)
        before = connection.execute(_BEFORE, {"name": name}).one_or_none()
        if before is None:
            raise ConfigurationError(f"no version of {name} was active before this one", hint="dicom-node models list")
        if before.digest not in here:
            raise ConfigurationError(
                f"the version of {name} before, {before.version} ({before.digest[:12]}), is not here any more", hint="import it again"
            )
        _activate(connection, before.id, active)
        details = _details(name, before.version, before.digest) | {"before": active.digest if active else None}
        audit.record(connection, actor=actor, action="model.rolled_back", subject=f"model:{before.id}", details=details)
    return str(before.digest)


def known(database: Database, name: str | None = None) -> tuple[RegisteredModel, ...]:
    """What is registered, of one name or of all, the oldest first."""
    with database.begin() as connection:
        return tuple(
            RegisteredModel(row.name, row.version, row.digest, ModelState(row.state), ModelOrigin(row.origin), row.activated_at is not None)
            for row in connection.execute(_KNOWN, {"name": name})
        )


def listing(database: Database) -> list[dict[str, Any]]:
    """All that are known, as JSON objects, the oldest first."""
    with database.begin() as connection:
        return [jsonable(row) for row in connection.execute(_LIST)]


def compare(database: Database, name: str) -> list[dict[str, Any]]:
    """For every shadow and every version that reported: on how many units both answered, and how often alike."""
    with database.begin() as connection:
        return [jsonable(row) for row in connection.execute(_COMPARE, {"name": name})]


def _locked(connection: Connection, name: str) -> list[Any]:
    connection.execute(_LOCK_NAME, {"name": name})
    return list(connection.execute(_KNOWN, {"name": name}).all())


def _row(connection: Connection, known: list[Any], identity: ModelIdentity, origin: ModelOrigin) -> tuple[int, str]:
    """(id, state) of the pipeline, entered now where nothing has served it yet."""
    for row in known:
        if row.digest == identity.digest:
            return int(row.id), str(row.state)
    return int(connection.execute(_ADD, asdict(identity) | {"origin": origin.value}).scalar_one()), ModelState.STANDBY.value


def _activate(connection: Connection, id: int, active: Any) -> None:
    if active is not None:  # first: two active ones are refused at any moment
        connection.execute(_SET, {"id": active.id, "state": ModelState.STANDBY.value})
    connection.execute(_SET, {"id": id, "state": ModelState.ACTIVE.value})


def _details(name: str, version: str, digest: str) -> dict[str, Any]:
    return {"name": name, "version": version, "digest": digest}
