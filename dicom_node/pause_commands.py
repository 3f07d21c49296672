"""Commands of people that pause and resume what the configuration names: a route of the conductor, a destination of the sender."""

from collections.abc import Callable

from core.errors import NodeError
from db.engine import Database
from db.operations.pauses import PauseKind, pause, resume
from db.roles.commands import ClaimedCommand


class PauseCommands:
    """The two commands of one kind. The subject of a command is the name; each method raises NodeError with the reason where it cannot.

    Parameters
    ----------
    require_configured
        Raises NodeError where the configuration has no such name. Asked only for a pause: a pause may outlive its route or destination.
    what_waits
        What is held back meanwhile, for the answer.
    """

    def __init__(self, database: Database, kind: PauseKind, require_configured: Callable[[str], object], what_waits: str) -> None:
        self._database = database
        self._kind = kind
        self._require_configured = require_configured
        self._what_waits = what_waits

    def pause(self, command: ClaimedCommand) -> str:
        """Begin nothing for this name until it is resumed."""
        name = command.args.get("subject", "")
        self._require_configured(name)
        if not pause(self._database, self._kind, name, reason=command.args.get("reason", ""), actor=command.actor):
            raise NodeError(f"{self._kind} {name!r} is paused already")
        return f"{self._kind} {name} is paused: {self._what_waits}"

    def resume(self, command: ClaimedCommand) -> str:
        """Take up again what waits for this name."""
        name = command.args.get("subject", "")
        if not resume(self._database, self._kind, name, reason=command.args.get("reason", ""), actor=command.actor):
            raise NodeError(f"{self._kind} {name!r} is not paused")
        return f"{self._kind} {name} is resumed"
