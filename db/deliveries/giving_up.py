"""Gives up deliveries for good: what has failed, is held or waits is not sent any more; audited with the reason.

Where a report is given up that the destination has never stored, what refers to it is not sent either: assessments, and the rejection of
the older result, which would leave the study without a result. They are given up with it. A person who erred has each of them sent again
by its number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.states import DeliveryState
from db import audit
from db.deliveries.job_completion import lock_jobs, mark_delivered_jobs
from db.engine import Database

# Each part is the condition of an index.
_UNDELIVERED = "(d.state IN ('failed', 'held') OR d.state = 'pending' OR d.state = 'stored' AND d.commit_wanted)"
_COLUMNS = """
    SELECT d.id AS delivery_id, d.job_id, r.kind AS object, d.destination, d.state, d.note, d.awaiting_verdict, d.commit_wanted,
           j.state = 'superseded' AS superseded, st.accession_number, st.study_instance_uid
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN jobs j ON j.id = d.job_id
    JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
"""
_SELECTED = text(f"""
    {_COLUMNS} WHERE (CAST(:study AS text) IS NULL OR st.study_instance_uid = :study)
      AND (CAST(:destination AS text) IS NULL OR d.destination = :destination)
      AND CASE WHEN CAST(:ids AS bigint[]) IS NOT NULL THEN d.id = ANY(:ids)
               WHEN CAST(:destination AS text) IS NULL THEN d.state IN ('failed', 'held')
               ELSE {_UNDELIVERED} END
    ORDER BY d.job_id, d.id
""")
_REPORT = """
    SELECT FROM deliveries c JOIN reports o ON o.id = c.report_id
    WHERE c.job_id = d.job_id AND c.destination = d.destination AND o.kind = 'sr'
"""
# What would wait for ever for the reports among :chosen, because the destination is sent no other report of this result.
_WAITING = text(f"""
    {_COLUMNS} WHERE r.kind IN ('assessment', 'rejection') AND d.state IN ('pending', 'held')
      AND NOT d.id = ANY(:chosen) AND EXISTS ({_REPORT} AND c.id = ANY(:chosen) AND c.stored_at IS NULL)
      AND NOT EXISTS ({_REPORT} AND c.state NOT IN ('withdrawn', 'given_up') AND NOT c.id = ANY(:chosen))
    ORDER BY d.job_id, d.id
""")
_GIVE_UP = text("""
    UPDATE deliveries SET state = 'given_up', changed_at = node_now(), commit_wanted = false, commitment_id = NULL,
        awaiting_verdict = false,
        note = CAST(:why AS text) || ' (it was ' || state || CASE WHEN note = '' THEN '' ELSE ': ' || note END || ')'
    WHERE id = ANY(:ids) AND (state IN ('failed', 'held', 'pending') OR state = 'stored' AND commit_wanted)
    RETURNING id, job_id, destination
""")
_JOB_OF = text("SELECT id, job_id FROM deliveries WHERE id = ANY(:ids)")
_KNOWN_STUDY = text("SELECT EXISTS (SELECT FROM studies WHERE study_instance_uid = :study)")
_COUNT_UNDELIVERED = text(f"""
    SELECT d.destination, count(*) AS number, max(d.id) AS last FROM deliveries d JOIN jobs j ON j.id = d.job_id
    WHERE {_UNDELIVERED} AND j.state <> 'superseded' GROUP BY d.destination
""")


@dataclass(frozen=True, slots=True)
class PlannedGivingUp:
    """One delivery that would be given up, or, with a ``refusal``, would not. ``waits``: only because it waits for a report that is."""

    delivery_id: int
    job_id: int
    object: str
    destination: str
    state: str
    accession_number: str
    study_instance_uid: str
    waits: bool = False
    refusal: str = ""

    @property
    def action(self) -> str:
        """What would happen, in words."""
        if self.refusal:
            return f"not given up: {self.refusal}"
        return "give up: it waits for the report" if self.waits else "give up"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Numbers of the deliveries that were given up: those that a person named, and those that waited for their report."""

    named: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()

    def __str__(self) -> str:
        words = f"{len(self.named)} {'delivery is' if len(self.named) == 1 else 'deliveries are'} given up"
        return f"{words}, and {len(self.waiting)} that waited for the report" if self.waiting else words


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What one destination has not received, or not committed to store: ``number`` deliveries, of which ``last`` is the newest."""

    number: int
    last: int


def plan_giving_up(database: Database, ids: Iterable[int], study: str = "", destination: str = "") -> list[PlannedGivingUp]:
    """Return what would be given up of these deliveries. Nothing is changed.

    Without ids: of what has failed or is held of a study; with a destination, of everything that it has not received, and of what it has
    not committed to store.
    """
    with database.begin() as connection:
        return _read_plan(connection, list(ids) or None, study, destination)


def count_undelivered(database: Database) -> dict[str, Undelivered]:
    """Return, for each destination, what would be given up with it (`plan_giving_up`); those without any are left out."""
    with database.begin() as connection:
        return {row.destination: Undelivered(row.number, row.last) for row in connection.execute(_COUNT_UNDELIVERED)}


def give_up_deliveries(database: Database, ids: Iterable[int], *, actor: str, reason: str) -> GivenUp:
    """Give up deliveries; return which were. The plan (`plan_giving_up`) says why others are not.

    Jobs whose other deliveries are done are delivered, where a destination has stored something of them.
    """
    wanted = list(ids)
    with database.begin() as connection:
        lock_jobs(connection, sorted({row.job_id for row in connection.execute(_JOB_OF, {"ids": wanted})}))
        plan = [row for row in _read_plan(connection, wanted) if not row.refusal]
        who = actor.partition(":")[2] or actor
        named = _give_up(connection, [row for row in plan if not row.waits], f"given up by {who}: {reason}", actor, reason)
        waiting = _give_up(connection, [row for row in plan if row.waits], f"given up with the report by {who}: {reason}", actor, reason)
        mark_delivered_jobs(connection, sorted({row.job_id for row in plan}))
    return GivenUp(named, waiting)


def unknown(database: Database, ids: Sequence[int], study: str, plan: Iterable[PlannedGivingUp], destination: str = "") -> list[str]:
    """Return a sentence for everything that a person names and that there is not: deliveries, the study, a delivery of others."""
    with database.begin() as connection:
        known = {row.id for row in connection.execute(_JOB_OF, {"ids": list(ids)})}
        missing = bool(study) and not connection.execute(_KNOWN_STUDY, {"study": study}).scalar_one()
    planned = {row.delivery_id for row in plan}
    found = [f"there is no study {study}"] if missing else []
    for id in dict.fromkeys(ids):
        if id not in known:
            found.append(f"there is no delivery {id}")
        elif id not in planned and not missing:
            found.append(f"delivery {id} is of another study{' or destination' if destination else ''}")
    return found


def _read_plan(connection: Connection, ids: list[int] | None, study: str = "", destination: str = "") -> list[PlannedGivingUp]:
    values = {"ids": ids, "study": study or None, "destination": destination or None}
    selected = connection.execute(_SELECTED, values).all()
    swept = ids is None and not destination
    plan = [_planned(row, refusal=_refusal(row, swept=swept)) for row in selected]
    chosen = [row.delivery_id for row in plan if not row.refusal]
    waiting = {row.delivery_id: _planned(row, waits=True) for row in connection.execute(_WAITING, {"chosen": chosen})}
    return [*(row for row in plan if row.delivery_id not in waiting), *waiting.values()]


def _give_up(connection: Connection, rows: Sequence[PlannedGivingUp], why: str, actor: str, reason: str) -> tuple[int, ...]:
    found = connection.execute(_GIVE_UP, {"ids": [row.delivery_id for row in rows], "why": why}).all()
    done = sorted(found, key=lambda row: int(row.id))
    for row in done:
        details = {"destination": row.destination, "job": row.job_id, "reason": reason}
        audit.record(connection, actor=actor, action="delivery.given_up", subject=f"delivery:{row.id}", details=details)
    return tuple(row.id for row in done)


def _refusal(row: Any, *, swept: bool) -> str:
    """Return why a delivery is not given up; "" if it is. What waits for a verdict is, where a person names it or its destination."""
    if row.state in (DeliveryState.FAILED, DeliveryState.HELD, DeliveryState.PENDING):
        if row.superseded:
            return "its result is superseded: the node withdraws it"
        return "it waits for a clinician's verdict; by its number it is given up all the same" if swept and row.awaiting_verdict else ""
    return {
        DeliveryState.SENDING: "it is being sent now; wait for the end of this attempt",
        DeliveryState.STORED: "" if row.commit_wanted else "the destination has it",
        DeliveryState.COMMITTED: "the destination has it",
        DeliveryState.WITHDRAWN: f"it was withdrawn: {row.note}",
        DeliveryState.GIVEN_UP: "it is given up already",
    }[DeliveryState(row.state)]


def _planned(row: Any, *, waits: bool = False, refusal: str = "") -> PlannedGivingUp:
    return PlannedGivingUp(
        row.delivery_id, row.job_id, row.object, row.destination, row.state, row.accession_number, row.study_instance_uid, waits, refusal
    )
