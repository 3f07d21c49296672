"""How a plan becomes a preview: counts, reasons, the first rows, and what one command does not take any more."""

import pytest

from console.bulk import preview
from console.bulk.preview import SHOWN, PlanWords, Preview, PreviewRow, preview_of

WORDS = PlanWords(("job", "jobs"), "queued again", ("Job", "What happens"), of=" to pacs")


def _preview(plan: list[tuple[int, str]]) -> Preview:
    """Of rows with number and refusal."""
    return preview_of(
        plan, WORDS, number=lambda row: row[0], refusal=lambda row: row[1], shown=lambda row: PreviewRow(str(row[0]), "", (row[1],))
    )


def test_what_would_be_done_and_what_not_is_counted() -> None:
    found = _preview([(1, ""), (2, "too old"), (3, "")])
    assert found.would == ("2 jobs would be queued again",)
    assert found.left == ("1 job would not: too old",)
    assert (found.subject, found.hidden) == ("2 jobs to pacs", {"last": "3", "count": "3"})


def test_nothing_would_be_done() -> None:
    assert _preview([(1, "too old")]).would == ()
    assert _preview([]).hidden == {"last": "0", "count": "0"}


def test_the_first_rows_are_shown() -> None:
    found = _preview([(number, "") for number in range(1, 100)])
    assert [row.number for row in found.rows] == [str(number) for number in range(1, SHOWN + 1)]
    assert found.total == 99


@pytest.mark.parametrize(("numbers", "more"), [((1, 1, 2, 3), False), ((1, 1, 2, 3, 4, 4), True)])
def test_one_command_takes_a_limited_number(monkeypatch: pytest.MonkeyPatch, numbers: tuple[int, ...], more: bool) -> None:
    monkeypatch.setattr(preview, "MOST_PLANNED", 3)
    found = _preview([(number, "") for number in numbers])
    assert found.would[0] == "4 jobs would be queued again", "all rows of the numbers that it takes"
    assert (len(found.would) == 2) is more
    assert found.hidden == {"last": "3", "count": "4"}


def test_where_none_of_so_many_can_be_done_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "MOST_PLANNED", 3)
    found = _preview([(number, "too old") for number in range(1, 5)])
    assert found.would == ()
    assert found.left == ("3 jobs would not: too old", "There are more than one command takes, and none of these can be done: select fewer")
