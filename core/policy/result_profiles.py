"""Result profiles: which objects of a result a destination receives, and which report of several is the one for it.

A report names other objects of its result; a destination gets the report that names nothing it does not get. A report's profile
says what it names: ``sr`` alone, ``sr+heatmap+seg``, and ``sr+seg@pacs`` where it is made for one destination (its predecessors).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.states import ReportKind

Profiles = Mapping[str, frozenset[ReportKind]]  # by destination
REPORT_ONLY = frozenset({ReportKind.SR})


@dataclass(frozen=True, slots=True)
class KeptObject:
    """An object of a result, by the number of its row."""

    id: int
    kind: ReportKind
    profile: str


def report_profile(named: Iterable[ReportKind], only_for: str = "") -> str:
    """The profile of a report that names objects of these kinds."""
    others = sorted(kind.value for kind in set(named) if kind is not ReportKind.SR)
    return "+".join([ReportKind.SR.value, *others]) + (f"@{only_for}" if only_for else "")


def named_by(profile: str) -> frozenset[ReportKind]:
    """The kinds of objects that a report of this profile names."""
    _, *others = profile.partition("@")[0].split("+")
    return frozenset(ReportKind(other) for other in others)


def fitting(kept: Sequence[KeptObject], wanted: frozenset[ReportKind], destination: str) -> tuple[list[int], int | None]:
    """What of a finished result a destination gets that joins later: (to be sent, to be held).

    Of the reports it is the one that names most among what this destination takes. Where each names something that it does not
    take, the one that names least is held: a person sees it, and can have the job run again.
    """
    sent = [one.id for one in kept if one.kind is not ReportKind.SR and one.kind in wanted]
    reports = [one for one in kept if one.kind is ReportKind.SR and one.profile.partition("@")[2] in ("", destination)]
    if ReportKind.SR not in wanted or not reports:
        return sent, None
    fits = [one for one in reports if named_by(one.profile) <= wanted]
    if fits:
        return [*sent, max(fits, key=lambda one: (len(named_by(one.profile)), -one.id)).id], None
    return sent, min(reports, key=lambda one: (len(named_by(one.profile)), one.id)).id
