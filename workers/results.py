"""From a prediction to objects that are kept and delivered: who gets which, checked before it is written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from core.settings import Settings
from core.states import ModelStatus
from db.blobs import Blobs
from db.records import ClaimedJob, StoredObject
from workers.encode import sr
from workers.encode.analysis import Analysis, Predecessor
from workers.encode.validate import validate


@dataclass(frozen=True, slots=True)
class Recipients:
    """``refused``: destinations of the job that do not take results of research models."""

    takers: tuple[str, ...]
    refused: tuple[str, ...]


def recipients(settings: Settings, destinations: tuple[str, ...], status: str) -> Recipients:
    """Results of research models go only where ``accept_research`` says so. An unknown destination is the sender's business."""
    refused = []
    for name in destinations if status == ModelStatus.RESEARCH else ():
        known = settings.destination(name)
        if known is not None and not known.accept_research:
            refused.append(name)
    return Recipients(tuple(name for name in destinations if name not in refused), tuple(refused))


def reports(job: ClaimedJob, analysis: Analysis, blobs: Blobs, takers: tuple[str, ...]) -> tuple[StoredObject, ...]:
    """One report for all; one each where destinations have stored different predecessors, which a report must name.

    A report is made and kept also when nobody takes it: the console shows it.
    """
    before = {name: job.predecessors.get(name) for name in takers}
    if len(set(before.values())) <= 1:
        return (_stored(_after(analysis, before), "sr", blobs, takers),)
    return tuple(_stored(_after(analysis, {name: before[name]}), f"sr@{name}", blobs, (name,)) for name in takers)


def _after(analysis: Analysis, before: Mapping[str, tuple[str, str, str] | None]) -> Analysis:
    named = dict.fromkeys(Predecessor(*older) for older in before.values() if older is not None)
    return replace(analysis, predecessors=tuple(named))


def _stored(analysis: Analysis, profile: str, blobs: Blobs, takers: tuple[str, ...]) -> StoredObject:
    report = sr.encode(analysis, profile=profile)
    return StoredObject(report=report, blob=blobs.put(report.content), destinations=takers, problems=validate(report.content))
