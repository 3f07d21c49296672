"""Plans what a person has sent again: which objects of which results go to which destination, and why others do not.

Without a destination every selected delivery is sent again to where it was sent. With one, every selected result is sent to that
destination, in the objects that it takes: what it has received before, and what it has not.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Connection, text

from core.policy.result_profiles import REPORT_ONLY, ResultObjectRow, ResultProfiles, select_for_destination
from core.settings.settings import Settings
from core.states import DONE_DELIVERY_STATES, DeliveryState, ResultKind
from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database

# Of a study or a time range: held deliveries were stopped by a rule and given up ones by a person, who releases each of them.
_SWEPT = (DeliveryState.STORED, DeliveryState.COMMITTED, DeliveryState.FAILED)
_OBJECT = """
    r.id AS report_id, r.kind, r.profile, r.sop_instance_uid, r.removed_at, r.problems, j.id AS job_id, j.state AS job_state,
    j.awaiting_verdict AS job_awaits, coalesce(j.identity ->> 'status' = 'research', false) AS research, j.priority,
    st.accession_number, st.study_instance_uid
"""
_FROM_JOBS = "jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id"
_RANGE = """
    (CAST(:study AS text) IS NULL OR st.study_instance_uid = :study)
    AND (CAST(:since AS timestamptz) IS NULL OR {at} >= :since) AND (CAST(:until AS timestamptz) IS NULL OR {at} < :until)
"""
_PART = "j.id > :after AND (:last = 0 OR j.id <= :last)"
# `place` counts the results, so that a part of a selection has whole results.
_DELIVERIES = text(f"""
    SELECT * FROM (
    SELECT d.id AS delivery_id, d.destination, d.state, d.note, d.awaiting_verdict, {_OBJECT}, dense_rank() OVER (ORDER BY j.id) AS place
    FROM deliveries d JOIN reports r ON r.id = d.report_id JOIN {_FROM_JOBS.replace("jobs j", "jobs j ON j.id = d.job_id", 1)}
    WHERE (CAST(:deliveries AS bigint[]) IS NULL OR d.id = ANY(:deliveries)) AND (CAST(:jobs AS bigint[]) IS NULL OR j.id = ANY(:jobs))
      AND (CAST(:deliveries AS bigint[]) IS NOT NULL OR (d.state = ANY(:swept) AND j.state <> 'superseded'))
      AND (CAST(:destination AS text) IS NULL OR d.destination = :destination) AND {_PART}
      AND {_RANGE.format(at="coalesce(d.stored_at, d.created_at)")}
    ) AS found WHERE CAST(:limit AS bigint) IS NULL OR place <= :limit ORDER BY job_id, delivery_id
""")
_JOBS = text(f"""
    SELECT j.id FROM {_FROM_JOBS}
    WHERE (CAST(:jobs AS bigint[]) IS NULL OR j.id = ANY(:jobs))
      AND (CAST(:deliveries AS bigint[]) IS NULL OR j.id IN (SELECT d.job_id FROM deliveries d WHERE d.id = ANY(:deliveries)))
      AND (CAST(:jobs AS bigint[]) IS NOT NULL OR (j.outcome IS NOT NULL AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled')))
      AND {_PART}
      AND {_RANGE.format(at="j.reported_at")}
    ORDER BY j.id LIMIT :limit
""")
_RESULTS = text(f"""
    SELECT d.id AS delivery_id, d.state, d.note, coalesce(d.awaiting_verdict, false) AS awaiting_verdict, {_OBJECT}
    FROM {_FROM_JOBS} JOIN reports r ON r.job_id = j.id AND r.kind <> 'rejection'
    LEFT JOIN deliveries d ON d.report_id = r.id AND d.destination = :to
    WHERE j.id = ANY(:ids) AND NOT j.shadow ORDER BY j.id, r.id
""")
_JOB_OF_DELIVERY = text("SELECT id, job_id FROM deliveries WHERE id = ANY(:ids)")
_KNOWN_JOBS = text("SELECT id FROM jobs WHERE id = ANY(:ids)")
_KNOWN_STUDY = text("SELECT EXISTS (SELECT FROM studies WHERE study_instance_uid = :study)")


@dataclass(frozen=True, slots=True)
class ResendSelection:
    """What a person wants to be sent again. All given conditions apply.

    Attributes
    ----------
    deliveries, jobs
        Numbers; empty: all.
    study
        Study Instance UID; "": all.
    since, until
        Without ``to``: when the destination stored the object. With ``to``: when the result was reported. ``until`` is excluded.
    to
        The destination that receives the selected results; "": each object goes to where it was sent.
    missing
        With ``to``: only what the destination has not stored.
    destination
        Without ``to``: only what was sent to this destination; "": all.
    """

    deliveries: tuple[int, ...] = ()
    jobs: tuple[int, ...] = ()
    study: str = ""
    since: datetime | None = None
    until: datetime | None = None
    to: str = ""
    missing: bool = False
    destination: str = ""

    @property
    def everything(self) -> bool:
        """Whether no condition is given."""
        return not (self.deliveries or self.jobs or self.study or self.since)


@dataclass(frozen=True, slots=True)
class ResendTargets:
    """The destinations of the configuration: result profile of each, and those that accept results of research models."""

    profiles: ResultProfiles
    accept_research: frozenset[str]

    @classmethod
    def configured(cls, settings: Settings) -> Self:
        """Return those of the configuration."""
        return cls(settings.result_profiles, frozenset(one.name for one in settings.destinations if one.accept_research))


@dataclass(frozen=True, slots=True)
class PlannedSending:
    """One object for one destination. ``delivery_id`` is None where there is no delivery yet; with a ``refusal`` it is not sent."""

    job_id: int
    report_id: int
    delivery_id: int | None
    object: str
    sop_instance_uid: str
    destination: str
    state: str
    priority: str
    accession_number: str
    study_instance_uid: str
    refusal: str = ""

    @property
    def action(self) -> str:
        """What would happen, in words."""
        if self.refusal:
            return f"not sent: {self.refusal}"
        return "send" if self.delivery_id is None else "send again"


def plan_resend(database: Database, selection: ResendSelection, targets: ResendTargets, part: RowRange = WHOLE) -> list[PlannedSending]:
    """Return what would be sent and what would not, in the order of jobs and deliveries. Nothing is changed.

    ``part``: of the selected results, by the numbers of their jobs.
    """
    with database.begin() as connection:
        return read_plan(connection, selection, targets, part)


def read_plan(connection: Connection, selection: ResendSelection, targets: ResendTargets, part: RowRange = WHOLE) -> list[PlannedSending]:
    """Return the plan in the transaction of the caller."""
    values = {
        "deliveries": list(selection.deliveries) or None,
        "jobs": list(selection.jobs) or None,
        "study": selection.study or None,
        "since": selection.since,
        "until": selection.until,
        "destination": selection.destination or None,
        **part.values(),
    }
    if not selection.to:
        found = connection.execute(_DELIVERIES, values | {"swept": [state.value for state in _SWEPT]}).all()
        return [_planned(row, row.destination, _refusal(row, row.destination, targets)) for row in found]
    ids = list(connection.execute(_JOBS, values).scalars())
    by_job: dict[int, list[Any]] = {}
    for row in connection.execute(_RESULTS, {"ids": ids, "to": selection.to}):
        by_job.setdefault(row.job_id, []).append(row)
    return [planned for rows in by_job.values() for planned in _for_destination(rows, selection, targets)]


def unselected(database: Database, selection: ResendSelection, plan: Iterable[PlannedSending]) -> list[str]:
    """Return a sentence for everything that the selection names and of which the plan has nothing: numbers, and a study that is unknown."""
    with database.begin() as connection:
        jobs_of = {row.id: row.job_id for row in connection.execute(_JOB_OF_DELIVERY, {"ids": list(selection.deliveries)})}
        known = set(connection.execute(_KNOWN_JOBS, {"ids": list(selection.jobs)}).scalars())
        study = not selection.study or bool(connection.execute(_KNOWN_STUDY, {"study": selection.study}).scalar_one())
    rows = list(plan)
    jobs, deliveries = {row.job_id for row in rows}, {row.delivery_id for row in rows}
    nothing = f"has nothing for {selection.to}" if selection.to else "has sent nothing"
    if selection.study or selection.since or selection.until:
        nothing += ", or not in this study and time"
    found = [] if study else [f"there is no study {selection.study}"]
    for id in dict.fromkeys(selection.deliveries):
        if id not in jobs_of:
            found.append(f"there is no delivery {id}")
        elif jobs_of[id] not in jobs if selection.to else id not in deliveries:
            found.append(f"delivery {id} is not in the selection: its job {jobs_of[id]} {nothing}")
    for id in dict.fromkeys(selection.jobs):
        if id not in known:
            found.append(f"there is no job {id}")
        elif id not in jobs:
            found.append(f"job {id} {nothing}")
    return found


def _for_destination(rows: Sequence[Any], selection: ResendSelection, targets: ResendTargets) -> list[PlannedSending]:
    """Choose the objects of one result for the destination: those that it was sent, and those of its profile that it was not.

    It keeps the report that it was sent: another one would say the same a second time.
    """
    name = selection.to
    kept = [ResultObjectRow(row.report_id, ResultKind(row.kind), row.profile) for row in rows if row.kind != ResultKind.ASSESSMENT]
    chosen, unfit = select_for_destination(kept, targets.profiles.get(name, REPORT_ONLY), name)
    reported = any(row.kind == ResultKind.SR and row.delivery_id is not None for row in rows)
    found = []
    for row in rows:
        if row.delivery_id is not None:
            if row.state != DeliveryState.WITHDRAWN:
                found.append(_planned(row, name, _kept_back(row, selection) or _refusal(row, name, targets)))
        elif row.report_id == unfit and not reported:
            found.append(_planned(row, name, "it names objects that the destination does not take; `jobs rerun` makes one that does not"))
        elif row.report_id in chosen and not (row.kind == ResultKind.SR and reported):
            found.append(_planned(row, name, _refusal(row, name, targets)))
    return found


def _kept_back(row: Any, selection: ResendSelection) -> str:
    """Return why a delivery that exists is not made due with its whole result; "" if it is."""
    if selection.missing and row.state in DONE_DELIVERY_STATES:
        return "the destination has it"
    if row.state == DeliveryState.GIVEN_UP:
        return f"{row.note}; `deliveries retry {row.delivery_id}` sends it"
    held = row.state == DeliveryState.HELD and not row.awaiting_verdict
    return f"it is held ({row.note}); `deliveries retry {row.delivery_id}` releases it" if held else ""


def _refusal(row: Any, destination: str, targets: ResendTargets) -> str:
    """Return why an object is not sent to a destination; "" if it is sent."""
    because: Mapping[str, bool] = {
        "its result is superseded": row.job_state == "superseded",
        f"no destination is named {destination!r}": destination not in targets.profiles,
        "retention has deleted the file; `jobs rerun` makes it again": row.removed_at is not None,
        "the result waits for a clinician's verdict": bool(
            row.awaiting_verdict or destination in row.job_awaits or (row.delivery_id is None and row.job_awaits)
        ),
        "the model is for research, and the destination has accept_research = false": row.research
        and destination not in targets.accept_research,
        "the validator found an error in it": bool(row.delivery_id is None and row.problems),
        "it is being sent": row.state == DeliveryState.SENDING,
        "it waits to be sent already": row.state == DeliveryState.PENDING,
        f"it was withdrawn: {row.note}": row.state == DeliveryState.WITHDRAWN,
    }
    return next((reason for reason, applies in because.items() if applies), "")


def _planned(row: Any, destination: str, refusal: str) -> PlannedSending:
    return PlannedSending(
        row.job_id, row.report_id, row.delivery_id, row.kind, row.sop_instance_uid, destination, row.state or "", row.priority,
        row.accession_number, row.study_instance_uid, refusal,
    )  # fmt: skip
