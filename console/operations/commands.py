"""Commands that people give on a page: the form is checked and the command queued; the page shows progress and answer."""

from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData

from core.errors import NodeError
from db.engine import Database
from db.operations.command_kinds import COMMANDS, CommandKind, CommandRule
from db.roles.commands import enqueue_command, latest_commands, show_command

LONGEST_REASON = 300
LONGEST_SUBJECT = 128
LONGEST_NAME = 64  # a version has at most as many characters, and so has a digest
SHOWN = 12
WAITS_LONG_S = 20.0


@dataclass(frozen=True, slots=True)
class ShownCommand:
    """One command as the page shows it. ``state``: queued, running, done or failed; ``answer`` is that of the role."""

    id: int
    label: str
    subject: str
    actor: str
    reason: str
    state: str
    answer: str
    age_s: float

    @property
    def pending(self) -> bool:
        """Whether the answer is still to come."""
        return self.state in ("queued", "running")


class WrongCommand(NodeError):
    """The form does not describe a command."""


def ask_for_command(database: Database, form: FormData, actor: str, kinds: frozenset[CommandKind]) -> int:
    """Queue the command of a form for the role that owns it; return its number.

    Raises
    ------
    WrongCommand
        The page offers no such command, or subject or reason are missing or too long.
    """
    kind, subject, reason = (str(form.get(name, "")).strip() for name in ("kind", "subject", "reason"))
    if kind not in kinds:
        raise WrongCommand("There is no such action.")
    rule = COMMANDS[CommandKind(kind)]
    if not 1 <= len(subject) <= LONGEST_SUBJECT or not subject.isprintable():
        raise WrongCommand("The form names nothing that this action could be applied to: reload the page and try again.")
    if rule.needs_reason:
        check_command_reason(reason)
    args = {"subject": subject, "reason": reason}
    for name in ("version", "to", "last"):
        args[name] = str(form.get(name, "")).strip()
        if len(args[name]) > LONGEST_NAME or (args[name] and not args[name].isprintable()):
            raise WrongCommand(f"The field {name!r} holds no name: at most {LONGEST_NAME} characters on one line.")
    return enqueue_command(database, kind, {key: value for key, value in args.items() if value}, actor)


def check_command_reason(reason: str) -> str:
    """Return the reason of a command, where it can be kept.

    Raises
    ------
    WrongCommand
        It is missing, too long, or has several lines.
    """
    if not 1 <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise WrongCommand(f"Give a reason of 1 to {LONGEST_REASON} characters on one line: it is kept in the audit trail.")
    return reason


def shown_commands(database: Database, prefixes: tuple[str, ...] = ("",)) -> list[ShownCommand]:
    """Return the latest commands of kinds that begin with one of ``prefixes``, the newest first."""
    rows = latest_commands(database, 4 * SHOWN)
    return [_shown(row) for row in rows if row["kind"].startswith(prefixes)][:SHOWN]


def shown_command(database: Database, id: int, kind: CommandKind) -> ShownCommand | None:
    """Return one command; None where there is none of this number and kind."""
    row = show_command(database, id)
    return None if row is None or row["kind"] != kind else _shown(row)


def _shown(row: dict[str, Any]) -> ShownCommand:
    rule = COMMANDS.get(row["kind"], CommandRule("", row["kind"], ""))
    answer = (row["result"] or {}).get("answer", "")
    if row["state"] == "queued" and row["age_s"] > WAITS_LONG_S:
        answer = f"waits for the role {rule.role}: is it running?"
    actor = row["actor"].removeprefix("user:")
    return ShownCommand(
        row["id"], rule.label, row["args"].get("subject", ""), actor, row["args"].get("reason", ""), row["state"], answer, row["age_s"]
    )
