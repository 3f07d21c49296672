"""The audit event of a configuration that a running process has taken over."""

from collections.abc import Sequence

from db import audit
from db.engine import Database


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
