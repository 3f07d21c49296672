"""Destinations that join a job whose result is made: each gets what its profile lists, and no more."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from core.policy.result_profiles import REPORT_ONLY, ResultObjectRow, ResultProfiles, select_for_destination
from core.states import DeliveryState, ResultKind

_KEPT = text("SELECT id, kind, profile, problems FROM reports WHERE job_id = :job_id ORDER BY id")
_ADD = text("""
    INSERT INTO deliveries (job_id, report_id, destination, priority, state, note)
    VALUES (:job_id, :report_id, :destination, :priority, :state, :note) ON CONFLICT DO NOTHING
""")
NO_REPORT_FITS = "no report of this result names only objects that this destination takes: run the job again to have one made"


def join(connection: Connection, job_id: int, destinations: Iterable[str], profiles: ResultProfiles, priority: str) -> int:
    """Deliveries of what is kept of a job to destinations that came in addition; how many. The job is locked.

    ``profiles``: by destination; one that is not in it gets the report alone.
    """
    if not (destinations := tuple(destinations)):
        return 0
    rows = connection.execute(_KEPT, {"job_id": job_id}).all()
    problems = {row.id: "; ".join(row.problems) for row in rows}
    kept = [ResultObjectRow(row.id, ResultKind(row.kind), row.profile) for row in rows]
    made = 0
    for destination in destinations:
        sent, held = select_for_destination(kept, profiles.get(destination, REPORT_ONLY), destination)
        notes = {id: problems[id] for id in sent} | ({held: NO_REPORT_FITS} if held is not None else {})
        for id, note in sorted(notes.items()):  # in the order they were kept: the report last
            state = DeliveryState.HELD if note else DeliveryState.PENDING
            values = {"job_id": job_id, "report_id": id, "destination": destination, "priority": priority, "note": note}
            made += connection.execute(_ADD, values | {"state": state.value}).rowcount
    return made
