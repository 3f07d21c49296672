"""The earlier results with which a viewed result was compared, and where their images are. Showing them is an audit event."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from core.policy.priors.choice import PriorRule
from core.policy.priors.same_patient import LeftOut
from core.records import PriorFinding, PriorResult
from core.states import Outcome
from db import audit
from db.jobs.prior_results import NEWER_ANSWER, left_out_results, prior_rule, read_prior_results

_UNITS = text(f"""
    SELECT o.id, o.unit_id, se.study_id, o.state = 'superseded' AND {NEWER_ANSWER} AS replaced
    FROM jobs o JOIN units u ON u.id = o.unit_id JOIN series se ON se.id = u.series_id WHERE o.id = ANY(:jobs)
""")


@dataclass(frozen=True, slots=True)
class ComparedResult:
    """An earlier result with the unit of its images. ``unmatched``: its findings to which none of the viewed result was matched.

    ``replaced``: a newer result has taken its place since.
    """

    prior: PriorResult
    unit_id: int
    unmatched: tuple[PriorFinding, ...]
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class ComparedResults:
    """The earlier results that were chosen by ``rule``, the newest first; ``matched``: findings were matched to those of the first one.

    ``left_out``: how many results of the same Patient ID are not surely of the patient.
    """

    rule: PriorRule
    results: tuple[ComparedResult, ...]
    matched: bool
    left_out: LeftOut = ()


def read_compared_results(
    connection: Connection, job: Any, findings: Sequence[Any], *, study_id: int, viewer: str, address: str
) -> ComparedResults | None:
    """Return with what a result was compared, and record that ``viewer`` has seen the earlier studies; None where nothing was to be.

    ``job`` and ``findings`` are rows of these tables; ``study_id``: of the result.
    """
    if job.prior_rule is None or job.outcome not in (Outcome.FINDINGS, Outcome.NO_FINDING):
        return None
    said = [row.comparison for row in findings if row.comparison is not None]
    priors = read_prior_results(connection, [job.id]).get(job.id, ())
    units = {row.id: row for row in connection.execute(_UNITS, {"jobs": [prior.job_id for prior in priors]})}
    found = []
    for prior in priors:
        matched = {one["finding"] for one in said if one["job_id"] == prior.job_id}
        unmatched = tuple(one for one in prior.findings if one.number not in matched)
        unit = units[prior.job_id]
        found.append(ComparedResult(prior, unit.unit_id, unmatched, unit.replaced))
    if priors:
        details = {"from": address, "studies": sorted({row.study_id for row in units.values()}), "beside": study_id}
        audit.record(connection, actor=viewer, action="earlier_results.viewed", subject="worklist", details=details)
    return ComparedResults(prior_rule(job.prior_rule), tuple(found), bool(said) or not findings, left_out_results(job.prior_rule))
