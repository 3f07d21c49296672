"""A command on many rows: how much one turn does, what the next one continues with, and what the answer says."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from core.errors import NodeError
from db.bulk import turns
from db.bulk.row_range import RowRange
from db.bulk.turns import BatchResult, BulkWork, work_in_turns
from db.roles.command_runner import Unfinished
from db.roles.commands import ClaimedCommand

COMMAND = ClaimedCommand(1, "job.requeue_many", {"last": "99", "count": "0"}, "user:ann")


@dataclass
class Rows:
    """Rows by number, some of them refused, others changed meanwhile; ``acted`` are the batches that were acted on."""

    numbers: list[int]
    refused: dict[int, str] = field(default_factory=dict)
    changed: frozenset[int] = frozenset()
    acted: list[list[int]] = field(default_factory=list)

    def plan(self, part: RowRange) -> list[int]:
        found = [number for number in self.numbers if part.after < number <= part.last]
        kept = sorted(set(found))[: part.limit]
        return [number for number in found if number in kept]

    def act(self, rows: Sequence[int]) -> BatchResult:
        self.acted.append(list(rows))
        return BatchResult(len([row for row in rows if row not in self.changed]))

    def work(self, at_once: int = 1) -> BulkWork[int]:
        return BulkWork(
            self.plan, lambda row: row, self.act, lambda count: f"{count} done", lambda row: self.refused.get(row, ""), at_once=at_once
        )


def _carry_out(rows: Rows, command: ClaimedCommand = COMMAND, at_once: int = 1) -> tuple[list[str], str]:
    """Carry a command out in turns of one batch; return what each turn has said, and the answer."""
    said = []
    while True:
        reply = work_in_turns(command, rows.work(at_once), turn_s=0.0)
        if isinstance(reply, str):
            return said, reply
        said.append(reply.answer)
        command = replace(command, progress=reply.progress)


def test_each_turn_continues_behind_the_last_row_of_the_one_before() -> None:
    rows = Rows([1, 2, 3])
    assert _carry_out(rows) == (["so far, 1 done", "so far, 2 done", "so far, 3 done"], "3 done")
    assert rows.acted == [[1], [2], [3]]


def test_a_turn_that_has_time_does_everything() -> None:
    assert work_in_turns(COMMAND, Rows(list(range(1, 1200))).work(), turn_s=600.0) == "99 done", "up to the last row of the command"


def test_rows_of_one_number_stay_together() -> None:
    rows = Rows([1, 1, 2, 3, 3])
    assert _carry_out(rows, at_once=2)[1] == "5 done"
    assert rows.acted == [[1, 1, 2], [3, 3]]


def test_the_answer_says_what_was_left_out_and_what_was_not_there_any_more() -> None:
    rows = Rows([1, 2, 3, 4], {2: "too old", 3: "too old", 4: "too new"})
    seen = replace(COMMAND, args={"last": "99", "count": "6"})
    assert _carry_out(rows, seen)[1] == "1 done; 2 not: too old; 1 not: too new; 2 changed since they were listed"


def test_rows_that_are_refused_are_not_acted_on_and_those_that_are_not_done_have_changed() -> None:
    rows = Rows([1, 2, 3, 4, 5, 6], {2: "too old", 5: "too old", 6: "too old"}, frozenset({3}))
    assert _carry_out(rows, at_once=4)[1] == "2 done; 3 not: too old; 1 not: its state has changed meanwhile"
    assert rows.acted == [[1, 3, 4]], "nothing is left of the second batch"


def test_rows_that_are_refused_while_they_are_acted_on() -> None:
    rows = Rows([1, 2, 3])
    work = replace(rows.work(at_once=3), act=lambda _rows: BatchResult(1, ["too broken"]))
    assert work_in_turns(COMMAND, work, turn_s=600.0) == "1 done; 1 not: too broken; 1 not: its state has changed meanwhile"


def test_a_command_that_did_nothing_has_failed_and_says_why() -> None:
    with pytest.raises(NodeError, match="nothing was changed; 1 not: too old"):
        _carry_out(Rows([1], {1: "too old"}))
    with pytest.raises(NodeError, match="nothing was changed; 3 changed since"):
        _carry_out(Rows([]), replace(COMMAND, args={"last": "99", "count": "3"}))


@pytest.mark.parametrize("args", [{}, {"last": ""}, {"last": "x"}])
def test_a_command_without_an_end_is_refused(args: dict[str, str]) -> None:
    rows = Rows([1])
    with pytest.raises(NodeError):
        work_in_turns(replace(COMMAND, args=args), rows.work())
    assert rows.acted == []


def test_many_different_reasons_are_counted_together() -> None:
    rows = Rows(list(range(1, 41)), {number: f"reason {number}" for number in range(2, 41)})
    answer = _carry_out(rows)[1]
    assert f"{39 - turns.MOST_REASONS} not: {turns.OTHER_REASONS}" in answer
    assert answer.count("; ") == turns.MOST_REASONS + 1


def test_progress_has_types_of_json() -> None:
    reply = work_in_turns(COMMAND, Rows([1, 2], {1: "too old"}).work(), turn_s=0.0)
    assert isinstance(reply, Unfinished)
    assert reply.progress == {"after": 1, "done": 0, "refused": {"too old": 1}}
