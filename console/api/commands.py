"""Commands under /api/v1, as the pages give them: rows that the role that owns the work carries out and answers."""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from console.api.description import API_ROUTES
from console.api.replies.list_page import Limit
from console.auth.guard import Accounts, AsViewer, Viewer
from console.operations.commands import LONGEST_REASON
from console.parameters import RowId
from db.engine import Database
from db.operations.command_kinds import COMMANDS, CommandKind
from db.roles.commands import enqueue_command, latest_commands, show_command

CHECK_INTERVAL_S = 0.1
LONGEST_WAIT_S = 30.0
ONE_LINE = r"^[ -~]*[!-~][ -~]*$"

Wait = Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the answer of the role.")]


class Reason(BaseModel):
    """Why a command is given; it is kept in the audit trail."""

    reason: str = Field(min_length=1, max_length=LONGEST_REASON, pattern=ONE_LINE, description="One line of ASCII text")


class Rerun(Reason):
    """How a job runs again."""

    version: str = Field(
        default="", max_length=64, pattern=r"^[ -~]*$", description="Version or digest of the model; empty: the one that serves"
    )


class Resend(Reason):
    """Where a result is sent again."""

    to: str = Field(
        default="", max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$", description="Destination; empty: where it was sent"
    )


class NamedSubject(BaseModel):
    """A route or destination, by its name in the configuration."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")


class NamedOrder(NamedSubject, Reason):
    """A route or destination, and why a command on it is given."""


class CommandEntry(BaseModel):
    """A command with its answer."""

    id: int
    url: str = Field(description="Where to read it again")
    kind: CommandKind
    role: str = Field(description="The role that carries it out")
    subject: str = Field(description="Number of a row, or name in the configuration")
    reason: str
    actor: str
    state: Literal["queued", "running", "done", "failed"]
    answer: str = Field(description="Answer of the role in words; empty until there is one")
    created_at: datetime
    finished_at: datetime | None


ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": CommandEntry, "description": "Not answered yet: poll `url`, which is also in the header Location"}
}


class Ask(Protocol):
    """Queues a command and waits for its answer; ``more``: further arguments of the command."""

    async def __call__(
        self, response: Response, viewer: Viewer, kind: CommandKind, subject: str, reason: str, wait_s: float, /,
        more: Mapping[str, str] = {},
    ) -> CommandEntry: ...  # fmt: skip


def command_entry(row: dict[str, Any]) -> CommandEntry:
    """Return a command as the API shows it."""
    kind, args = CommandKind(row["kind"]), row["args"]
    return CommandEntry(
        url=f"/api/v1/commands/{row['id']}",
        kind=kind,
        role=COMMANDS[kind].role,
        subject=args.get("subject", ""),
        reason=args.get("reason", ""),
        answer=(row["result"] or {}).get("answer", ""),
        **{name: row[name] for name in ("id", "actor", "state", "created_at", "finished_at")},
    )


def build_asking(database: Database) -> Ask:
    """Return the function that queues a command and waits for its answer."""

    async def ask(
        response: Response, viewer: Viewer, kind: CommandKind, subject: str, reason: str, wait_s: float, /, more: Mapping[str, str] = {}
    ) -> CommandEntry:
        """Queue a command. 200 and the answer; 202 where there is none within ``wait_s``; 409 with the reason where it is not possible."""
        args = {"subject": subject, **({"reason": reason} if reason else {}), **{name: value for name, value in more.items() if value}}
        id = await run_in_threadpool(enqueue_command, database, kind, args, viewer.actor)
        deadline = time.monotonic() + wait_s
        while True:
            row = await run_in_threadpool(show_command, database, id)
            assert row is not None, "commands are never deleted"
            entry = command_entry(row)
            if entry.state in ("done", "failed") or time.monotonic() >= deadline:
                break
            await asyncio.sleep(CHECK_INTERVAL_S)
        if entry.state == "failed":
            raise HTTPException(409, entry.answer)
        if entry.state != "done":
            response.status_code = 202
            response.headers["Location"] = entry.url
        return entry

    return ask


def build_router(accounts: Accounts) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1/commands", tags=["operations"], **API_ROUTES)

    @routes.get("", summary="Commands of the last day")
    def commands(limit: Limit = 50) -> list[CommandEntry]:
        """Return the commands that people and programs have given, the newest first."""
        known = set(CommandKind)
        return [command_entry(row) for row in latest_commands(accounts.database, limit) if row["kind"] in known]

    @routes.get("/{command_id}", summary="One command with its answer")
    def command(command_id: RowId, viewer: AsViewer) -> CommandEntry:
        """Return a command; its state is queued, running, done or failed."""
        row = show_command(accounts.database, command_id)
        if row is None or row["kind"] not in set(CommandKind):
            raise HTTPException(404, f"there is no command {command_id}")
        return command_entry(row)

    return routes
