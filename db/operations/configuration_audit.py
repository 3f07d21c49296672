"""Audit events of the configuration: which file a node uses, by its SHA-256."""

from collections.abc import Sequence

from sqlalchemy import text

from db import audit
from db.engine import Database

CONFIGURATION_LOCK = 0x636F6E66  # "conf": roles that start together record a file once

_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
_TRAIL = text("SELECT to_regclass('audit_events')")
_LAST = text("SELECT details ->> 'sha256' FROM audit_events WHERE subject = 'configuration' ORDER BY id DESC LIMIT 1")


def record_reload(database: Database, *, role: str, digest: str, changed: Sequence[str], restart: Sequence[str]) -> None:
    """Record that a role uses changed settings.

    Parameters
    ----------
    digest
        SHA-256 of the configuration file.
    changed
        Names of the settings that are in use now; their values may be secret.
    restart
        Names of the settings that differ and need a restart.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    details = {"sha256": digest, "changed": list(changed), "needs_restart": list(restart)}
    audit.record_now(database, actor=role, action="configuration.reloaded", subject="configuration", details=details)


def record_configuration(database: Database, *, actor: str, digest: str) -> bool:
    """Record that a configuration is used from now on; return False where the last event about it has the same digest.

    Parameters
    ----------
    digest
        SHA-256 of the configuration file; "" where there is none.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        if connection.execute(_TRAIL).scalar_one() is None:
            return False  # a role that waits for its schema
        connection.execute(_LOCK, {"lock": CONFIGURATION_LOCK})
        last = connection.execute(_LAST).scalar_one_or_none()
        if last == digest:
            return False
        details = {"sha256": digest, "before": last}
        audit.record(connection, actor=actor, action="configuration.used", subject="configuration", details=details)
    return True
