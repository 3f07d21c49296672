"""Commands that a role carries out: the plan is shown first, the person confirms it, the role that owns the work answers."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core.errors import ConfigurationError, NodeError
from deploy.cli.common import operator_name
from deploy.terminal import print_json, print_message, print_table

if TYPE_CHECKING:
    from core.settings.settings import Settings
    from db.engine import Database
    from db.operations.command_kinds import CommandKind

ANSWER_TIMEOUT_S = 120.0
ALIVE_WITHIN_S = 30.0  # of the last heartbeat of the role

DryRun = Annotated[bool, typer.Option("--dry-run", help="print what would happen, and change nothing")]
Yes = Annotated[bool, typer.Option("--yes", help="do not ask for confirmation")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="why; kept in the audit trail", show_default=False)]
Study = Annotated[str, typer.Option("--study", metavar="UID", help="only results of this Study Instance UID", show_default=False)]
Since = Annotated[str | None, typer.Option("--since", metavar="T", help="only since this time (ISO 8601)", show_default=False)]
Until = Annotated[str | None, typer.Option("--until", metavar="T", help="only before this time (ISO 8601)", show_default=False)]


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Options of a command: the reason, whether it is only tried, whether it is confirmed beforehand, and whether the answer is JSON."""

    reason: str
    dry_run: bool
    yes: bool
    as_json: bool

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ConfigurationError
            There is no reason, or nobody can be asked for confirmation.
        """
        if self.dry_run:
            return
        if not self.reason.strip():
            raise ConfigurationError("a reason is missing: it is kept in the audit trail", hint="add --reason TEXT, or --dry-run")
        if not self.yes and not sys.stdin.isatty():
            raise ConfigurationError("nobody can be asked for confirmation here", hint="look with --dry-run, then add --yes")


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command would do: rows with an ``action``, of which ``count`` are carried out, as ``what`` ("3 objects are sent again")."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    count: int
    what: str


def require_selection(empty: bool, hint: str = "give ids, --study or --since") -> None:
    """Check that a command selects something; ``hint`` says how.

    Raises
    ------
    ConfigurationError
        It would select everything that the node has.
    """
    if empty:
        raise ConfigurationError("nothing is selected", hint=hint)


def require_destination(settings: "Settings", name: str) -> None:
    """Check that the configuration has a destination of this name; "" is none.

    Raises
    ------
    ConfigurationError
        It has none.
    """
    if name and settings.destination(name) is None:
        names = ", ".join(one.name for one in settings.destinations) or "none"
        raise ConfigurationError(f"no destination is named {name!r}", hint=f"there are: {names}")


def carry_out(database: "Database", kind: "CommandKind", args: Mapping[str, str], plan: Plan, options: CommandOptions) -> None:
    """Show the plan; unless it is a dry run, ask for confirmation, give the command to its role and print the answer.

    Raises
    ------
    NodeError
        Nothing would be done, the person declined, the role could not do it, or does not answer.
    """
    if not options.as_json:
        print_table(plan.title, plan.columns, [[row.get(column) for column in plan.columns] for row in plan.rows])
    answer = None
    if not options.dry_run:
        if not plan.count:
            raise NodeError("nothing was changed", hint="the column 'action' says why" if plan.rows else "nothing fits the selection")
        if not options.yes and not typer.confirm(f"{plan.what}. Continue?", err=True):
            raise NodeError("nothing was changed")
        answer = _ask(database, kind, {**args, "reason": options.reason.strip()})
        print_message(answer)
    if options.as_json:
        print_json({"planned": list(plan.rows), "answer": answer})


def _ask(database: "Database", kind: "CommandKind", args: Mapping[str, str]) -> str:
    from db.notify import ChannelListener
    from db.operations.command_kinds import COMMANDS
    from db.roles.commands import enqueue_command, show_command
    from db.roles.heartbeats import alive_processes

    role = COMMANDS[kind].role
    alive = any(process.role == role for process in alive_processes(database, ALIVE_WITHIN_S))
    listener = ChannelListener(database, "commands")
    try:
        id = enqueue_command(database, kind, args, operator_name())
        deadline = time.monotonic() + (ANSWER_TIMEOUT_S if alive else 0.0)
        while True:
            found = show_command(database, id)
            assert found is not None
            if found["state"] in ("done", "failed"):
                break
            if time.monotonic() >= deadline:
                what = "has not answered yet" if alive else "is not running"
                raise NodeError(f"command {id} waits: the role {role} {what}", hint=f"`dicom-node {role}` carries it out when it runs")
            listener.wait(0.5)
    finally:
        listener.close()
    answer = str(found["result"]["answer"])
    if found["state"] == "failed":
        raise NodeError(answer)
    return answer
