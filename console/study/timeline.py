"""The steps of one unit in their order, each with its time and its reason."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from core.counted import counted
from core.states import DeliveryState, Outcome
from db.worklist.study import JobDetails, UnitDetails

DONE, NOW, PROBLEM, OPEN = "done", "now", "problem", "open"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: ``mark`` is done, now, problem or open; ``text`` says in words what happened, or what is waited for."""

    name: str
    mark: str
    at: datetime | None
    text: str


def steps_of(unit: UnitDetails) -> list[Step]:
    """Return the steps from the first image to the last delivery of the job whose result counts."""
    row, job = unit.row, unit.current[0] if unit.current else None
    images = f"{counted(row.held, 'image')} from {row.source}"
    steps = [Step("Received", DONE, row.first_received_at, images)]
    if row.state == "open":
        if row.reason:
            return [*steps, Step("Not routed yet", PROBLEM, None, row.reason)]
        return [*steps, Step("Not complete yet", NOW, None, "waiting for further images")]
    evidence = row.evidence or {}
    steps.append(Step("Complete", DONE, row.completed_at, str(evidence.get("reason", ""))))
    if job is None:
        name = "Not routed" if row.outcome else "Not routed yet"
        return [*steps, Step(name, PROBLEM if row.outcome else OPEN, row.completed_at, row.reason)]
    routes = ", ".join(job.row.routes)
    steps.append(Step("Routed", DONE, job.row.completed_at, f"{routes}: {job.row.model} {job.row.model_version}, {job.row.priority}"))
    return [*steps, *_of_job(job)]


def _of_job(job: JobDetails) -> Iterator[Step]:
    row = job.row
    tries = f"attempt {row.attempts}" if row.attempts > 1 else ""
    if row.state in ("failed", "quarantined"):
        last = job.attempts[-1].ended_at if job.attempts else None
        yield Step("Analysis failed", PROBLEM, last, f"{row.reason} ({counted(row.attempts, 'attempt')})")
    elif row.inferred_at is not None and row.outcome == Outcome.NOT_ANALYSED:
        yield Step("Not analysed", PROBLEM, row.inferred_at, row.reason)
    elif row.inferred_at is not None:
        seconds = sum(value or 0.0 for value in (row.prepare_s, row.infer_s, row.encode_s))
        yield Step("Analysed", DONE, row.inferred_at, ", ".join(part for part in (f"{seconds:.1f} s", tries) if part))
    elif row.state == "running":
        yield Step("Being analysed", NOW, row.started_at, tries)
    elif row.state == "queued":
        yield Step("Not analysed yet", NOW, None, "in the queue")
    else:
        yield Step("Not analysed", OPEN, None, row.state)
    if row.reported_at is not None:
        yield Step("Reported", DONE, row.reported_at, counted(len(job.objects), "object"))
    elif not job.objects:
        yield Step("Not reported yet", OPEN, None, "")
    yield from _deliveries(job)


def _deliveries(job: JobDetails) -> Iterator[Step]:
    for destination in sorted({row.destination for row in job.deliveries}):
        rows = [row for row in job.deliveries if row.destination == destination and row.state != DeliveryState.WITHDRAWN]
        arrived = [row for row in rows if row.state in ("stored", "committed")]
        at = max((row.committed_at or row.stored_at for row in arrived), default=None)
        problems = [row for row in rows if row.state in ("failed", "held") and not row.awaiting_verdict]
        given_up = [row for row in rows if row.state == DeliveryState.GIVEN_UP]
        waiting = [row for row in rows if row.awaiting_verdict and row.state == DeliveryState.HELD]
        if not problems and waiting:
            yield Step(f"Not delivered to {destination} yet", NOW, None, waiting[0].note)
        elif problems:
            problem, name = problems[0], "Not fully delivered" if arrived else "Not delivered"
            yield Step(f"{name} to {destination}", PROBLEM, problem.changed_at, f"{problem.state}: {problem.note}")
        elif given_up and len(arrived) + len(given_up) == len(rows):
            name = f"Delivered to {destination}" if arrived else f"Not delivered to {destination}"
            note = f"{len(arrived)} of {counted(len(rows), 'object')} stored; {given_up[0].note}"
            yield Step(name, OPEN, at or given_up[0].changed_at, note)
        elif rows and len(arrived) == len(rows):
            committed = all(row.state == "committed" for row in rows)
            yield Step(f"{'Committed' if committed else 'Delivered'} to {destination}", DONE, at, counted(len(rows), "object"))
        elif rows:
            yield Step(f"Not delivered to {destination} yet", NOW, None, f"{len(arrived)} of {counted(len(rows), 'object')} stored")
