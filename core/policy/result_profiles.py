"""Result profiles: which objects of a result a destination receives, and which of several reports is the one for it.

A report refers to other objects of its result, so a destination receives the report that refers to nothing it does not receive. The profile
of a report says what it refers to: ``sr`` nothing, ``sr+heatmap+seg`` these kinds, ``sr+seg@pacs`` where it is made for one destination
only (because its predecessors differ).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.states import ResultKind

ResultProfiles = Mapping[str, frozenset[ResultKind]]  # by destination
REPORT_ONLY = frozenset({ResultKind.SR})


@dataclass(frozen=True, slots=True)
class ResultObjectRow:
    """A stored object of a result: number of its row, kind and profile."""

    id: int
    kind: ResultKind
    profile: str


def report_profile(kinds: Iterable[ResultKind], only_for: str = "") -> str:
    """Return the profile of a report that refers to objects of these kinds, made for the destination ``only_for`` or for all."""
    others = sorted(kind.value for kind in set(kinds) if kind is not ResultKind.SR)
    return "+".join([ResultKind.SR.value, *others]) + (f"@{only_for}" if only_for else "")


def kinds_named_by(profile: str) -> frozenset[ResultKind]:
    """Return the kinds of objects to which a report of this profile refers."""
    _, *others = profile.partition("@")[0].split("+")
    return frozenset(ResultKind(other) for other in others)


def select_for_destination(
    stored: Sequence[ResultObjectRow], wanted: frozenset[ResultKind], destination: str
) -> tuple[list[int], int | None]:
    """Return what of a finished result a destination receives that was added later: the rows to send, and a row to hold.

    Of the reports it is the one that refers to most of what this destination receives. Where every report refers to something that it does
    not receive, the one that refers to least is held: a person sees it and can have the job run again.
    """
    sent = [row.id for row in stored if row.kind is not ResultKind.SR and row.kind in wanted]
    reports = [row for row in stored if row.kind is ResultKind.SR and row.profile.partition("@")[2] in ("", destination)]
    if ResultKind.SR not in wanted or not reports:
        return sent, None
    suitable = [row for row in reports if kinds_named_by(row.profile) <= wanted]
    if suitable:
        return [*sent, max(suitable, key=lambda row: (len(kinds_named_by(row.profile)), -row.id)).id], None
    return sent, min(reports, key=lambda row: (len(kinds_named_by(row.profile)), row.id)).id
