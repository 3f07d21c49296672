"""Carries out the commands of people that a role owns, one after the other, in a thread of the role."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import structlog

from core.errors import NodeError
from db.engine import Database
from db.notify import ChannelListener
from db.roles.commands import ClaimedCommand, claim_command, end_turn, finish_command
from db.roles.supervised_loop import SupervisedLoop

POLL_INTERVAL_S = 5.0  # a notification ends the wait
STOP_TIMEOUT_S = 10.0
MOST_DIGITS = 18  # of the number of a row


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The reply of a handler that has worked for one turn and is not done: other commands that wait come first, then it is called again.

    Attributes
    ----------
    answer
        What has been done so far, in words.
    progress
        What the next call gets as `ClaimedCommand.progress`: JSON types.
    """

    answer: str
    progress: Mapping[str, Any]


Handler = Callable[[ClaimedCommand], str | Unfinished]
"""Carries out a command and returns the answer in words. Raises NodeError with the reason where it cannot be carried out.

A command that may take longer than some seconds is carried out in turns: each ends with `Unfinished`, the last one with the answer.
"""


class CommandRunner:
    """``with CommandRunner(...)``: claims commands of the kinds that have a handler, and records the answers.

    Several processes of a role share the work.
    """

    def __init__(self, role: str, database: Database, handlers: Mapping[str, Handler], stop: threading.Event) -> None:
        self._database = database
        self._handlers = handlers
        self._waiter = ChannelListener(database, "commands")
        self._stop = stop
        self._loop = SupervisedLoop(f"{role}-commands", self.run_next, stop, wait=self._wait)

    def __enter__(self) -> Self:
        self._loop.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._loop.join(STOP_TIMEOUT_S)
        self._waiter.close()

    def run_next(self) -> float:
        """Carry out one command or a turn of it. Returns the seconds that may pass until the next call; 0 where another command may wait.

        Raises
        ------
        StorageError
            The database is unavailable; the command is taken up again later.
        """
        command = claim_command(self._database, list(self._handlers))
        if command is None:
            return POLL_INTERVAL_S
        try:
            reply, ok = self._handlers[command.kind](command), True
        except NodeError as error:
            reply, ok = str(error), False
        except Exception as error:  # the answer shows no text of an exception that nobody foresaw: it may hold patient data
            structlog.get_logger().error("command_failed_unexpectedly", kind=command.kind, exception=type(error).__name__, exc_info=True)
            reply, ok = f"failed unexpectedly ({type(error).__name__}); the log of the role has the details", False
        if isinstance(reply, Unfinished):
            end_turn(self._database, command, answer=reply.answer, progress=reply.progress)
        else:
            finish_command(self._database, command, ok=ok, result={"answer": reply})
        return 0.0

    def _wait(self, seconds: float) -> None:
        # In short steps, because a notification channel does not see that the role stops.
        left = seconds
        while left > 0 and not self._stop.is_set() and not self._waiter.wait(min(left, 0.5)):
            left -= 0.5


def require_number(command: ClaimedCommand) -> int:
    """Return the row that a command names.

    Raises
    ------
    NodeError
        Its subject is no number.
    """
    subject = command.args.get("subject", "")
    if not subject.isdecimal() or len(subject) > MOST_DIGITS:
        raise NodeError(f"{command.kind} needs the number of a row, not {subject[:40]!r}")
    return int(subject)


def numbers(command: ClaimedCommand, name: str) -> tuple[int, ...]:
    """Return the numbers of an argument such as "12,13"; none where the command lacks it.

    Raises
    ------
    NodeError
        It holds something else.
    """
    parts = [part for part in command.args.get(name, "").split(",") if part]
    if not all(part.isdecimal() and len(part) <= MOST_DIGITS for part in parts):
        raise NodeError(f"{command.kind} needs numbers separated by commas in {name!r}")
    return tuple(int(part) for part in parts)


def summarise(refusals: Sequence[str]) -> str:
    """Return each reason once with its number of times, for the answer of a command; "" where there is none."""
    counted = Counter(refusals)
    return "".join(f"; {count} not: {reason}" for reason, count in counted.most_common())


def require_done(done: Sequence[int], refusals: Sequence[str], answer: str) -> str:
    """Return ``answer`` where something was done.

    Raises
    ------
    NodeError
        Nothing was done; ``refusals`` say why.
    """
    if not done:
        raise NodeError("; ".join(refusals) or "nothing was changed")
    return answer
