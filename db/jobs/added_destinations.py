"""Deliveries to destinations that are added to a job whose result is made: each gets the objects of its result profile."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from core.policy.result_profiles import REPORT_ONLY, ResultObjectRow, ResultProfiles, select_for_destination
from core.policy.verdicts import WAITING_NOTE
from core.states import DeliveryState, ResultKind

_OBJECTS = text("SELECT id, kind, profile, problems FROM reports WHERE job_id = :job_id AND kind <> 'assessment' ORDER BY id")
_ADD = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note, awaiting_verdict)
    SELECT :job_id, :report_id, :destination, :priority, CASE WHEN waits THEN 'held' ELSE :state END,
           CASE WHEN waits THEN :waiting_note ELSE :note END, waits
    FROM (SELECT :state = 'pending' AND :destination = ANY(awaiting_verdict) AS waits FROM jobs WHERE id = :job_id) job
    ON CONFLICT DO NOTHING
""")
NO_REPORT_FITS = "no report of this result names only objects that this destination takes: run the job again to have one made"


def add_destinations(connection: Connection, job_id: int, destinations: Iterable[str], profiles: ResultProfiles, priority: str) -> int:
    """Add deliveries of a job's objects to further destinations; return how many. The caller has locked the job.

    ``profiles``: result profile by destination; a destination without one gets the report alone. An assessment refers to the report of one
    destination and is not sent to others; the next one goes to the added destinations too.
    """
    if not (destinations := tuple(destinations)):
        return 0
    rows = connection.execute(_OBJECTS, {"job_id": job_id}).all()
    problems = {row.id: "; ".join(row.problems) for row in rows}
    kept = [ResultObjectRow(row.id, ResultKind(row.kind), row.profile) for row in rows]
    added = 0
    for destination in destinations:
        sent, held = select_for_destination(kept, profiles.get(destination, REPORT_ONLY), destination)
        notes = {id: problems[id] for id in sent} | ({held: NO_REPORT_FITS} if held is not None else {})
        for id, note in sorted(notes.items()):  # in the order in which they were written: the report last
            state = DeliveryState.HELD if note else DeliveryState.PENDING
            values = {"job_id": job_id, "report_id": id, "destination": destination, "priority": priority, "note": note}
            values["waiting_note"] = WAITING_NOTE
            added += connection.execute(_ADD, values | {"state": state.value}).rowcount
    return added
