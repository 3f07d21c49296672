"""What a person asks of a role (C-ECHO a destination, test a file): a row that the owning role carries out."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify
from db.records import ClaimedCommand
from db.row_values import jsonable

STALE_S = 600.0  # a role that died at it: another takes it up
_ENQUEUE = text("INSERT INTO commands (kind, args, actor) VALUES (:kind, CAST(:args AS jsonb), :actor) RETURNING id")
_CLAIM = text("""
    UPDATE commands SET state = 'running', started_at = node_now()
    WHERE id = (SELECT id FROM commands
                WHERE kind = ANY(:kinds) AND (state = 'queued'
                   OR (state = 'running' AND started_at < node_now() - make_interval(secs => :stale_s)))
                ORDER BY id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, kind, args, actor
""")
_FINISH = text("""
    UPDATE commands SET state = :state, result = CAST(:result AS jsonb), finished_at = node_now()
    WHERE id = :id AND state = 'running'
""")
_SHOW = text("SELECT id, kind, args, actor, state, result, created_at, started_at, finished_at FROM commands WHERE id = :id")


def enqueue(database: Database, kind: str, args: Mapping[str, str], actor: str) -> int:
    """Ask; gives the id under which ``show`` gives the answer."""
    with database.begin() as connection:
        id = int(connection.execute(_ENQUEUE, {"kind": kind, "args": json.dumps(dict(args)), "actor": actor}).scalar_one())
        audit.record(connection, actor=actor, action="command.asked", subject=f"command:{id}", details={"kind": kind})
        notify(connection, "commands")
    return id


def claim(database: Database, kinds: Sequence[str]) -> ClaimedCommand | None:
    """The oldest command of these kinds that waits; None when there is none."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"kinds": list(kinds), "stale_s": STALE_S}).one_or_none()
    return None if row is None else ClaimedCommand(row.id, row.kind, row.args, row.actor)


def finish(database: Database, command: ClaimedCommand | int, *, ok: bool, result: Mapping[str, Any]) -> None:
    """Answer; ``result`` is of JSON types."""
    id = command if isinstance(command, int) else command.id
    values = {"id": id, "state": "done" if ok else "failed", "result": json.dumps(dict(result))}
    with database.begin() as connection:
        connection.execute(_FINISH, values)
        audit.record(connection, actor="node", action=f"command.{values['state']}", subject=f"command:{id}")
        notify(connection, "commands")


def show(database: Database, id: int) -> dict[str, Any] | None:
    """The command with its state and result, as a JSON object."""
    with database.begin() as connection:
        row = connection.execute(_SHOW, {"id": id}).one_or_none()
    return None if row is None else jsonable(row)
