"""Commands of people to a role (C-ECHO a destination, test a file): rows that the role that owns the kind carries out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from db import audit
from db.engine import Database
from db.notify import notify
from db.row_values import row_to_json

STALE_S = 600.0  # after this time another process takes up a command whose process died
PERSONAL = ("patient_id", "issuer")
"""Arguments that name a person. They are removed from a command that has been carried out, or could not be."""
_ENQUEUE = text("INSERT INTO commands (kind, args, actor) VALUES (:kind, CAST(:args AS jsonb), :actor) RETURNING id")
_CLAIM = text("""
    UPDATE commands SET state = 'running', started_at = node_now(), result = result - 'waits_for_turn'
    WHERE id = (SELECT id FROM commands
                WHERE kind = ANY(:kinds) AND (state = 'queued' OR (state = 'running'
                   AND (result ? 'waits_for_turn' OR started_at < node_now() - make_interval(secs => :stale_s))))
                ORDER BY coalesce(started_at, created_at), id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING id, kind, args, actor, result
""")
_END_TURN = text("""
    UPDATE commands SET started_at = node_now(), result = CAST(:result AS jsonb) WHERE id = :id AND state = 'running'
""")
_FINISH = text("""
    UPDATE commands SET state = :state, result = CAST(:result AS jsonb), finished_at = node_now(), args = args - CAST(:personal AS text[])
    WHERE id = :id AND state = 'running'
""")
_COLUMNS = """
    id, kind, args, actor, state, result, created_at, started_at, finished_at, extract(epoch FROM node_now() - created_at)::float8 AS age_s
"""
_SHOW = text(f"SELECT {_COLUMNS} FROM commands WHERE id = :id")
_LATEST = text(f"""
    SELECT {_COLUMNS} FROM commands
    WHERE created_at > node_now() - interval '1 day' ORDER BY id DESC LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class ClaimedCommand:
    """A command that this process carries out. ``progress``: what its earlier turns have left for this one; None in the first turn."""

    id: int
    kind: str
    args: Mapping[str, str]
    actor: str
    progress: Mapping[str, Any] | None = None


def enqueue_command(database: Database, kind: str, args: Mapping[str, str], actor: str) -> int:
    """Queue a command; return its id, for `show_command`. A ``reason`` among its arguments is part of the audit event."""
    details = {"kind": kind, **({"reason": args["reason"]} if args.get("reason") else {})}
    with database.begin() as connection:
        id = int(connection.execute(_ENQUEUE, {"kind": kind, "args": json.dumps(dict(args)), "actor": actor}).scalar_one())
        audit.record(connection, actor=actor, action="command.asked", subject=f"command:{id}", details=details)
        notify(connection, "commands")
    return id


def claim_command(database: Database, kinds: Sequence[str]) -> ClaimedCommand | None:
    """Take up the command of these kinds that waits longest, for its first turn or for another one; None if there is none."""
    with database.begin() as connection:
        row = connection.execute(_CLAIM, {"kinds": list(kinds), "stale_s": STALE_S}).one_or_none()
    return None if row is None else ClaimedCommand(row.id, row.kind, row.args, row.actor, (row.result or {}).get("progress"))


def end_turn(database: Database, command: ClaimedCommand, *, answer: str, progress: Mapping[str, Any]) -> None:
    """Let the commands that wait go first. This one stays running; the next turn gets ``progress``, which has JSON types.

    ``answer`` says in words what has been done so far. The next process takes it up at once, also where this one is killed now.
    """
    result = {"answer": answer, "progress": dict(progress), "waits_for_turn": True}
    with database.begin() as connection:
        connection.execute(_END_TURN, {"id": command.id, "result": json.dumps(result)})


def finish_command(database: Database, command: ClaimedCommand | int, *, ok: bool, result: Mapping[str, Any]) -> None:
    """Record the answer of a command; ``result`` has JSON types."""
    id = command if isinstance(command, int) else command.id
    values = {"id": id, "state": "done" if ok else "failed", "result": json.dumps(dict(result)), "personal": list(PERSONAL)}
    with database.begin() as connection:
        connection.execute(_FINISH, values)
        audit.record(connection, actor="node", action=f"command.{values['state']}", subject=f"command:{id}")
        notify(connection, "commands")


def show_command(database: Database, id: int) -> dict[str, Any] | None:
    """Return a command with its state and result as a JSON object; None if there is no command with this id."""
    with database.begin() as connection:
        row = connection.execute(_SHOW, {"id": id}).one_or_none()
    return None if row is None else row_to_json(row)


def latest_commands(database: Database, limit: int) -> list[dict[str, Any]]:
    """Return the commands of the last day as JSON objects, the newest first."""
    with database.begin() as connection:
        return [row_to_json(row) for row in connection.execute(_LATEST, {"limit": limit})]
