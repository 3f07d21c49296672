"""The audit events of a trial: begun, interrupted, written."""

from collections.abc import Mapping
from typing import Any

from db import audit
from db.engine import Database


def record_trial(database: Database, act: str, *, model_id: int, actor: str, details: Mapping[str, Any]) -> None:
    """Record that a trial was ``begun``, ``interrupted`` or ``written``. ``details``: counts and hashes, no identifiers of patients."""
    with database.begin() as connection:
        audit.record(connection, actor=actor, action=f"trial.{act}", subject=f"model:{model_id}", details=details)
