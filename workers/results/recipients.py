"""Chooses the destinations that receive the objects of a result, and the kinds of object that each of them takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from core.policy.result_profiles import REPORT_ONLY, ResultProfiles
from core.records import Prediction
from core.settings.settings import Settings
from core.states import ModelStatus, ResultKind
from db import audit
from db.engine import Database
from db.jobs.job_records import ClaimedJob


@dataclass(frozen=True, slots=True)
class Recipients:
    """The destinations of one result.

    Attributes
    ----------
    accepting
        Destinations of the job that receive the result, in the order of the job.
    excluded
        Destinations of the job that do not accept results of research models.
    profiles
        Kinds of object that each destination takes; one that is not listed takes the report only.
    taking_rejections
        Destinations with ``iocm = true``: outdated objects that they have stored are rejected there.
    """

    accepting: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    profiles: ResultProfiles = field(default_factory=dict)
    taking_rejections: frozenset[str] = frozenset()

    def kinds_of(self, name: str) -> frozenset[ResultKind]:
        """Return the kinds of object that the destination ``name`` takes."""
        return self.profiles.get(name, REPORT_ONLY)

    def takers_of(self, kind: ResultKind) -> tuple[str, ...]:
        """Return the accepting destinations that take objects of ``kind``."""
        return tuple(name for name in self.accepting if kind in self.kinds_of(name))

    def kinds(self) -> frozenset[ResultKind]:
        """Return every kind that at least one accepting destination takes."""
        return frozenset().union(*map(self.kinds_of, self.accepting))


def select_recipients(settings: Settings, destinations: tuple[str, ...], status: str) -> Recipients:
    """Choose the recipients of a result of a model of ``status``.

    Results of research models go only to destinations with ``accept_research = true``. A destination that is not configured is not
    excluded here: its delivery fails in the sender, with that reason.
    """
    configured = {name: settings.destination(name) for name in destinations}
    excluded = []
    for name, destination in configured.items() if status == ModelStatus.RESEARCH else ():
        if destination is not None and not destination.accept_research:
            excluded.append(name)
    return Recipients(
        accepting=tuple(name for name in destinations if name not in excluded),
        excluded=tuple(excluded),
        profiles=settings.result_profiles,
        taking_rejections=frozenset(name for name, destination in configured.items() if destination is not None and destination.iocm),
    )


def record_exclusion(database: Database, job: ClaimedJob, prediction: Prediction, excluded: tuple[str, ...]) -> Prediction:
    """Write an audit event that names the excluded destinations, and return the prediction with a note about them."""
    details: Mapping[str, object] = {
        "destinations": list(excluded),
        "reason": "the model is for research and the destination has accept_research = false",
    }
    audit.record_now(database, actor=f"worker:{job.model}", action="delivery.refused", subject=f"job:{job.id}", details=details)
    note = f"Not delivered to {', '.join(excluded)}: the model is for research and accept_research is false there."
    return replace(prediction, notes=(*prediction.notes, note))
