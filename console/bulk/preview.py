"""What a command on many rows would do: counts, the first rows, and what would be left out and why."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from core.counted import counted
from db.bulk.row_range import RowRange

MOST_PLANNED = 5000  # numbers of one command; the page takes less than a second for so many
MOST_CHOICES = 100  # entries of a list
PLANNED = RowRange(limit=MOST_PLANNED + 1)  # one more, so that the page knows whether there are more
SHOWN = 10

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """One of the first rows: ``number`` leads to the study where there is one; ``cells`` are the other columns."""

    number: str
    study_instance_uid: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done.

    Attributes
    ----------
    would
        Sentences on what would be done; empty where nothing would.
    left
        Reasons for which rows are left out, with their number.
    columns, rows
        The first rows, ``total`` of which there are.
    nothing
        What the page says where there is nothing at all.
    subject
        What the command is for, as the list of commands shows it.
    hidden
        Further arguments of the command: up to which row, and how many.
    """

    would: tuple[str, ...]
    left: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[PreviewRow, ...] = ()
    total: int = 0
    nothing: str = "The selection is empty"
    subject: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanWords:
    """How a plan is put into words: the noun of a row in one and in many, what would be done with it, the columns of the first rows."""

    noun: tuple[str, str]
    would: str
    columns: tuple[str, ...]
    of: str = ""


def preview_of(
    plan: Sequence[Row], words: PlanWords, *, number: Callable[[Row], int], refusal: Callable[[Row], str],
    shown: Callable[[Row], PreviewRow],
) -> Preview:  # fmt: skip
    """Return the preview of a plan that was made for `PLANNED`."""
    numbers = sorted({number(row) for row in plan})
    more = len(numbers) > MOST_PLANNED
    if more:
        plan, numbers = [row for row in plan if number(row) < numbers[-1]], numbers[:-1]
    refused = Counter(why for row in plan if (why := refusal(row)))
    count = len(plan) - refused.total()
    would = [f"{counted(count, *words.noun)} would be {words.would}"] if count else []
    left = [f"{counted(times, *words.noun)} would not: {why}" for why, times in refused.most_common()]
    if more and count:
        would.append("There are more than one command takes: these have the lowest numbers. Do the rest afterwards")
    elif more:
        left.append("There are more than one command takes, and none of these can be done: select fewer")
    return Preview(
        would=tuple(would),
        left=tuple(left),
        columns=words.columns,
        rows=tuple(shown(row) for row in plan[:SHOWN]),
        total=len(plan),
        subject=counted(count, *words.noun) + words.of,
        hidden={"last": str(numbers[-1] if numbers else 0), "count": str(len(plan))},
    )
