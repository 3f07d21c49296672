"""Plans which jobs a person has run again, on which version of their model, and why others cannot be; and carries the plan out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from core.errors import NodeError
from db.bulk.row_range import WHOLE, RowRange
from db.engine import Database
from db.jobs.rerun import RerunTarget, rerun_job

_FOUND = text("""
    SELECT j.id, j.state, j.outcome, j.model, j.model_version, j.pipeline_digest, j.shadow, j.superseded_by, j.destinations, j.reported_at,
           j.revision <> u.revision AS outdated, st.accession_number, st.study_instance_uid, j.unit_id,
           EXISTS (SELECT FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id
                   WHERE ji.job_id = j.id AND i.removed_at IS NOT NULL) AS images_removed,
           ARRAY(SELECT o.pipeline_digest || ':' || o.id FROM jobs o WHERE o.unit_id = j.unit_id AND o.revision = j.revision
                 AND o.id <> j.id AND NOT o.shadow AND o.state NOT IN ('cancelled', 'superseded')) AS others
    FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE (CAST(:jobs AS bigint[]) IS NULL OR j.id = ANY(:jobs))
      AND (CAST(:jobs AS bigint[]) IS NOT NULL
           OR (j.outcome IS NOT NULL AND NOT j.shadow AND j.state NOT IN ('superseded', 'cancelled', 'running')))
      AND (CAST(:study AS text) IS NULL OR st.study_instance_uid = :study)
      AND (CAST(:model AS text) IS NULL OR j.model = :model)
      AND (CAST(:made_by AS text) IS NULL OR j.model_version = :made_by)
      AND (CAST(:since AS timestamptz) IS NULL OR j.reported_at >= :since)
      AND (CAST(:until AS timestamptz) IS NULL OR j.reported_at < :until)
      AND j.id > :after AND (:last = 0 OR j.id <= :last)
    ORDER BY j.id LIMIT :limit
""")

_KNOWN = text("""
    SELECT ARRAY(SELECT id FROM jobs WHERE id = ANY(:jobs)) AS jobs,
           CAST(:study AS text) IS NULL OR EXISTS (SELECT FROM studies WHERE study_instance_uid = :study) AS study,
           CAST(:model AS text) IS NULL OR EXISTS (SELECT FROM jobs WHERE model = :model) AS model
""")

FindVersion = Callable[[str], RerunTarget]
"""Returns the version on which jobs of the model of this name run again. Raises ModelError where there is none."""


@dataclass(frozen=True, slots=True)
class RerunSelection:
    """The jobs that a person wants to run again. All given conditions apply; empty ones are not conditions.

    ``since`` and ``until`` (excluded) are compared with the time of the result. ``to``: destinations that receive the new results besides
    those that received the first ones. ``made_by``: the version that made the result.
    """

    jobs: tuple[int, ...] = ()
    study: str = ""
    since: datetime | None = None
    until: datetime | None = None
    model: str = ""
    to: tuple[str, ...] = ()
    made_by: str = ""

    @property
    def everything(self) -> bool:
        """Whether no condition is given."""
        return not (self.jobs or self.study or self.since or self.made_by)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A job that would run again on ``target``; with a ``refusal`` it is not."""

    job_id: int
    model: str
    model_version: str
    state: str
    outcome: str
    accession_number: str
    study_instance_uid: str
    destinations: tuple[str, ...]
    target: RerunTarget | None
    refusal: str = ""

    @property
    def action(self) -> str:
        """What would happen, in words."""
        if self.target is None or self.refusal:
            return f"not run: {self.refusal}"
        return f"run on {self.target.version}, supersede the result of {self.model_version}"


def unselected_jobs(database: Database, selection: RerunSelection, plan: Iterable[PlannedRun]) -> list[str]:
    """Return a sentence for everything that the selection names and of which the plan has nothing: jobs, and an unknown study or model."""
    values = {"jobs": list(selection.jobs), "study": selection.study or None, "model": selection.model or None}
    with database.begin() as connection:
        known = connection.execute(_KNOWN, values).one()
    found = [] if known.study else [f"there is no study {selection.study}"]
    if not known.model:
        found.append(f"no job is of a model {selection.model!r}")
    planned = {row.job_id for row in plan if row.model}
    for id in dict.fromkeys(selection.jobs):
        if id not in planned:
            found.append(f"job {id} does not fit the other conditions" if id in known.jobs else f"there is no job {id}")
    return found


def plan_reruns(database: Database, selection: RerunSelection, find: FindVersion, part: RowRange = WHOLE) -> list[PlannedRun]:
    """Return what would run again and what would not, by job, of the jobs in a range of numbers. Nothing is changed."""
    with database.begin() as connection:
        return _read(connection, selection, find, part)


def rerun(database: Database, selection: RerunSelection, find: FindVersion, *, actor: str, reason: str) -> list[int]:
    """Run the selected jobs again; return the numbers of the new jobs. Each job is one transaction; those that cannot run are left."""
    plan = plan_reruns(database, selection, find)
    return [new for row in plan if (new := run_planned(database, row, actor=actor, reason=reason, added=selection.to)) is not None]


def run_planned(database: Database, row: PlannedRun, *, actor: str, reason: str, added: Sequence[str] = ()) -> int | None:
    """Run one job of a plan again; return the number of the new job. None if the plan or its present state refuses it."""
    if row.target is None or row.refusal:
        return None
    with database.begin() as connection:
        return rerun_job(connection, row.job_id, row.target, actor=actor, reason=reason, added=added)


def _read(connection: Connection, selection: RerunSelection, find: FindVersion, part: RowRange) -> list[PlannedRun]:
    values = {
        "jobs": list(selection.jobs) or None,
        "study": selection.study or None,
        "model": selection.model or None,
        "made_by": selection.made_by or None,
        "since": selection.since,
        "until": selection.until,
        **part.values(),
    }
    rows = connection.execute(_FOUND, values).all()
    versions = {name: _found_version(find, name) for name in sorted({row.model for row in rows})}
    absent = [id for id in selection.jobs if id not in {row.id for row in rows}]
    return [_planned(row, versions[row.model], selection.to) for row in rows] + [
        PlannedRun(id, "", "", "", "", "", "", (), None, f"there is no such job{f' of {selection.model}' if selection.model else ''}")
        for id in absent
    ]


def _found_version(find: FindVersion, model: str) -> RerunTarget | str:
    """The version, or why there is none."""
    try:
        return find(model)
    except NodeError as error:
        return " ".join(str(error).split())


def _planned(row: Any, version: RerunTarget | str, added: tuple[str, ...]) -> PlannedRun:
    destinations = tuple(dict.fromkeys((*row.destinations, *added)))
    target = version if isinstance(version, RerunTarget) else None
    planned = PlannedRun(
        row.id, row.model, row.model_version, row.state, row.outcome or "", row.accession_number, row.study_instance_uid, destinations,
        target,
    )  # fmt: skip
    return replace(planned, refusal=_refusal(row) or (version if isinstance(version, str) else _taken(row, version)))


def _refusal(row: Any) -> str:
    """Return why a job cannot run again on any version; "" where it can."""
    if row.superseded_by is not None:
        return f"it is superseded by job {row.superseded_by}"
    if row.shadow:
        return "it is the trial of a shadow, which is never reported"
    if row.outcome is None or row.state in ("running", "cancelled"):
        return f"it is {row.state} and has no result" + ("" if row.state in ("queued", "running") else ": `jobs requeue` runs it")
    if row.outdated:
        return "its unit has a newer revision"
    if row.images_removed:
        return "retention has deleted images of it: send them again"
    return ""


def _taken(row: Any, target: RerunTarget) -> str:
    """Return the job of the same unit that has this version already; "" where there is none."""
    others = dict(one.rsplit(":", 1) for one in row.others)
    return f"job {others[target.digest]} of the same images has version {target.version}" if target.digest in others else ""
