"""Carries out a command on many rows in turns: between two turns come other commands, and the page shows what is done so far.

A turn that is killed is repeated. What it had done is not selected again, because its state has changed; it is then counted as changed.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any, Generic, Self, TypeVar

from core.errors import NodeError
from db.bulk.row_range import RowRange
from db.roles.command_runner import Unfinished, numbers
from db.roles.commands import ClaimedCommand

TURN_S = 2.0
PLANNED_AT_ONCE = 500  # numbers whose rows are read together
MOST_REASONS = 20  # in one answer; further ones are counted together
OTHER_REASONS = "other reasons"
CHANGED = "changed since they were listed"
CHANGED_ONE = "its state has changed meanwhile"

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What was done with some rows: how many, and for each that was refused why. The state of the others has changed meanwhile."""

    done: int = 0
    refused: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class BulkWork(Generic[Row]):
    """How a command on many rows is carried out.

    Attributes
    ----------
    plan
        Returns the selected rows in a range, by number. Rows of one number stand beside each other.
    number
        The number of a row, as a range counts them.
    act
        Carries the command out on some rows that have no ``refusal``, of ``at_once`` numbers at most.
    in_words
        Says that so many are done, as ``3 jobs are queued again``.
    refusal
        Why the plan refuses a row; "" where it does not.
    """

    plan: Callable[[RowRange], Sequence[Row]]
    number: Callable[[Row], int]
    act: Callable[[Sequence[Row]], BatchResult]
    in_words: Callable[[int], str]
    refusal: Callable[[Row], str] = lambda _row: ""
    at_once: int = 1

    def batches(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield the rows of `at_once` numbers after each other."""
        of_number = [list(found) for _, found in groupby(rows, key=self.number)]
        for first in range(0, len(of_number), self.at_once):
            yield list(chain.from_iterable(of_number[first : first + self.at_once]))


@dataclass(slots=True)
class _SoFar:
    """What the turns have done: up to which number, how many, and how often for which reason not."""

    after: int = 0
    done: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @classmethod
    def read(cls, progress: Mapping[str, Any] | None) -> Self:
        return cls() if progress is None else cls(progress["after"], progress["done"], Counter(progress["refused"]))

    def add(self, work: BulkWork[Row], rows: Sequence[Row]) -> None:
        """Carry the command out on some rows, and add what became of them."""
        refusals = [work.refusal(row) for row in rows]
        wanted = [row for row, refusal in zip(rows, refusals, strict=True) if not refusal]
        result = work.act(wanted) if wanted else BatchResult()
        changed = len(wanted) - result.done - len(result.refused)
        self.after = work.number(rows[-1])
        self.done += result.done
        for reason in [*filter(None, refusals), *result.refused, *[CHANGED_ONE] * changed]:
            known = reason in self.refused or len(self.refused) < MOST_REASONS
            self.refused[reason if known else OTHER_REASONS] += 1

    def progress(self) -> dict[str, Any]:
        return {"after": self.after, "done": self.done, "refused": dict(self.refused)}


def work_in_turns(command: ClaimedCommand, work: BulkWork[Row], *, turn_s: float = TURN_S) -> str | Unfinished:
    """Carry a command out on the rows up to its argument ``last``, for one turn; return the answer, or what is done so far.

    ``count``: how many rows the person has seen. Those that are selected no more are named in the answer.

    Raises
    ------
    NodeError
        The command does not say up to which row, or nothing could be done; it says why.
    """
    last = numbers(command, "last")
    if not last:
        raise NodeError(f"{command.kind} does not say up to which row: open the page again")
    end, so_far = time.monotonic() + turn_s, _SoFar.read(command.progress)
    while rows := work.plan(RowRange(so_far.after, last[0], PLANNED_AT_ONCE)):
        for batch in work.batches(rows):
            so_far.add(work, batch)
            if time.monotonic() >= end:
                return Unfinished(f"so far, {work.in_words(so_far.done)}", so_far.progress())
    return _answer(work, so_far, seen=sum(numbers(command, "count")))


def _answer(work: BulkWork[Row], so_far: _SoFar, seen: int) -> str:
    parts = [f"{count} not: {reason}" for reason, count in so_far.refused.most_common()]
    gone = seen - so_far.done - so_far.refused.total()
    if gone > 0:
        parts.append(f"{gone} {CHANGED}")
    if not so_far.done:
        raise NodeError("; ".join(["nothing was changed", *parts]))
    return "; ".join([work.in_words(so_far.done), *parts])
