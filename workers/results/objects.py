"""From a prediction to objects that are kept and delivered: who gets which, checked before it is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import EncodingError
from core.logs import scrub
from core.policy.result_profiles import REPORT_ONLY, ResultProfiles, report_profile
from core.records import ResultObject
from core.settings.settings import Settings
from core.states import ModelStatus, ResultKind
from db.blobs.store import Blobs
from db.records import ClaimedJob, StoredObject
from workers.encode.analysis import Analysis, Companion, Predecessor
from workers.encode.objects.by_kind import ENCODERS, companion, encode
from workers.encode.sr import document
from workers.encode.validate.validator import validate

log = structlog.get_logger()


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


def wanted(given: ResultProfiles, takers: Iterable[str]) -> frozenset[ResultKind]:
    """Every kind that at least one of them takes."""
    return frozenset().union(*(given.get(name, REPORT_ONLY) for name in takers))


def objects(job: ClaimedJob, analysis: Analysis, blobs: Blobs, takers: tuple[str, ...], given: ResultProfiles) -> tuple[StoredObject, ...]:
    """Every object that a taker's profile lists, once; and a report for each set of objects that takers receive, last.

    A report names what its takers receive, so it differs where that differs, and where they have stored different predecessors.
    What could not be made is said in it. A report is made and kept also when nobody takes one: the console shows it. So is one that
    names no other object: where a destination refuses one of those, it goes instead (``db.deliveries.delivery_order``).
    """
    kept: list[StoredObject] = []
    companions: list[Companion] = []
    failed: list[str] = []
    for kind in ENCODERS:
        taken_by = tuple(name for name in takers if kind in given.get(name, REPORT_ONLY))
        for made in _made(job, kind, analysis, failed) if taken_by else ():
            problems = validate(made.content, within=_unit(analysis))
            kept.append(StoredObject(report=made, blob=blobs.put(made.content), destinations=taken_by, problems=problems))
            if not problems:
                companions.append(companion(analysis, made))
    if failed:
        analysis = replace(analysis, prediction=replace(analysis.prediction, notes=(*analysis.prediction.notes, *failed)))
    groups: dict[tuple[Companion, ...], tuple[str, ...]] = {}
    for name in takers:
        takes = given.get(name, REPORT_ONLY)
        if ResultKind.SR in takes:
            named = tuple(one for one in companions if one.kind in takes)
            groups[named] = (*groups.get(named, ()), name)
    plain = groups.pop((), ())
    for named, group in groups.items():
        kept += _reports(job, replace(analysis, companions=named), blobs, group, group)
    everybody = tuple(name for group in (*groups.values(), plain) for name in group)
    kept += _reports(job, replace(analysis, companions=()), blobs, everybody, plain)
    return tuple(kept)


def _made(job: ClaimedJob, kind: ResultKind, analysis: Analysis, failed: list[str]) -> tuple[ResultObject, ...]:
    """The instances of a kind. A defect in one kind must not cost the reader the report: it is said there."""
    try:
        return tuple(bounded(made, analysis.max_object_bytes) for made in encode(kind, analysis))
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {scrub(str(error))}"
        log.error("an object of a result could not be made", job=job.id, kind=kind.value, reason=reason)
        failed.append(f"Could not be made for this result: {kind.value}.")
        return ()


def bounded(made: ResultObject, most: int) -> ResultObject:
    """``made``, where it is within the limit.

    Raises
    ------
    EncodingError
        It is larger. Of an object beside the report the report says so; the report itself fails the job.
    """
    if len(made.content) > most:
        words = f"the object has {len(made.content)} bytes, and worker.max_object_bytes allows {most}"
        raise EncodingError(words, hint="allow more, then dicom-node jobs requeue")
    return made


def _reports(
    job: ClaimedJob, analysis: Analysis, blobs: Blobs, readers: tuple[str, ...], takers: tuple[str, ...]
) -> tuple[StoredObject, ...]:
    """One report for all; one each where destinations have stored different predecessors, which a report must name.

    ``readers``: whom it may be for. ``takers``: those of them who get it now.
    """
    named = [one.kind for one in analysis.companions]
    before = {name: job.predecessors.get(name) for name in readers}
    if len(set(before.values())) <= 1:
        return (_stored(_after(analysis, before), report_profile(named), blobs, takers),)
    return tuple(
        _stored(_after(analysis, {name: before[name]}), report_profile(named, name), blobs, (name,) if name in takers else ())
        for name in readers
    )


def _after(analysis: Analysis, before: Mapping[str, tuple[str, str, str] | None]) -> Analysis:
    named = dict.fromkeys(Predecessor(*older) for older in before.values() if older is not None)
    return replace(analysis, predecessors=tuple(named))


def _stored(analysis: Analysis, profile: str, blobs: Blobs, takers: tuple[str, ...]) -> StoredObject:
    report = bounded(document.encode(analysis, profile=profile), analysis.max_object_bytes)
    problems = validate(report.content, within=[*_unit(analysis), *(one.sop_instance_uid for one in analysis.companions)])
    return StoredObject(report=report, blob=blobs.put(report.content), destinations=takers, problems=problems)


def _unit(analysis: Analysis) -> list[str]:
    return [image.sop_instance_uid for image in analysis.source.images]
