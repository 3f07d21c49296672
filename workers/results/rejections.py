"""The objects of outdated results that destinations have stored are rejected there, where the destination takes that."""

from core.settings.settings import Settings
from core.states import ResultKind
from db.blobs.store import Blobs
from db.records import ClaimedJob, StoredObject
from workers.encode.analysis import Analysis
from workers.encode.objects import rejection
from workers.encode.validate.validator import validate


def rejections(job: ClaimedJob, analysis: Analysis, settings: Settings, blobs: Blobs, takers: tuple[str, ...]) -> tuple[StoredObject, ...]:
    """One for each taker with ``iocm`` that has stored something of an earlier result of this model on this unit; kept, to be sent."""
    made = []
    for name in takers:
        destination = settings.destination(name)
        outdated = [item for item in job.outdated if item.destination == name and item.kind != ResultKind.REJECTION]
        if destination is None or not destination.iocm or not outdated:
            continue
        report = rejection.encode(analysis, outdated, destination=name)
        problems = validate(report.content, within=[item.sop_instance_uid for item in outdated])
        made.append(StoredObject(report=report, blob=blobs.put(report.content), destinations=(name,), problems=problems))
    return tuple(made)
