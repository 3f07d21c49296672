"""Audit events of acts of the command line on all data: exports, backups, restores."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database

_HAS_TRAIL = text("SELECT to_regclass('audit_events') IS NOT NULL")


def record_export(database: Database, what: str, *, actor: str, details: Mapping[str, Any]) -> None:
    """Record that results or audit events were exported, before the first row leaves the node.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    audit.record_now(database, actor=actor, action=f"{what}.exported", subject=what, details=details)


def record_backup(database: Database, *, actor: str, digest: str, size_bytes: int) -> None:
    """Record that the database was written to a file with this SHA-256; not in one that has no audit trail yet (before `db upgrade`).

    Raises
    ------
    StorageError
        The database does not respond.
    """
    with database.begin() as connection:
        if not connection.execute(_HAS_TRAIL).scalar_one():
            return
    details = {"sha256": digest, "bytes": size_bytes}
    audit.record_now(database, actor=actor, action="database.backed_up", subject="database", details=details)


def record_restored(database: Database, *, actor: str, digest: str) -> None:
    """Record that the database comes from a backup with this SHA-256.

    Raises
    ------
    StorageError
        The database does not respond.
    """
    audit.record_now(database, actor=actor, action="database.restored", subject="database", details={"sha256": digest})
