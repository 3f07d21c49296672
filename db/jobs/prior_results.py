"""The earlier results with which the result of a job is compared, as they were chosen (`db.jobs.prior_choice`), with their findings."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.concepts.codes import LATERALITY, LONG_AXIS, SHORT_AXIS, TOPOGRAPHICAL_MODIFIER, VOLUME
from core.policy.priors.choice import PriorRule
from core.policy.priors.comparison import mean_axis_mm
from core.policy.priors.same_patient import BETWEEN_STUDIES, OF_THE_STUDY, IdentityDoubt, LeftOut
from core.records import OrganPlace, PriorFinding, PriorResult

LEFT_OUT, SUPERSEDED = "left_out", "superseded"
"""Keys that the choice adds to ``jobs.prior_rule``: how many results were left out for which doubt, and places of `job_priors`."""
NEWER_ANSWER = """EXISTS (SELECT FROM jobs n WHERE n.unit_id = o.unit_id AND n.model = o.model AND NOT n.shadow AND n.id > o.id
                             AND n.outcome IS NOT NULL)"""
"""Whether a newer job on the images of the job ``o`` by its model has a result."""

_PRIORS = text(f"""
    SELECT p.*, o.outcome, st.study_instance_uid,
           coalesce(me.prior_rule -> '{SUPERSEDED}' @> to_jsonb(p.place), false) AS superseded
    FROM job_priors p JOIN jobs me ON me.id = p.job_id JOIN jobs o ON o.id = p.prior_job_id
    JOIN units u ON u.id = o.unit_id JOIN series se ON se.id = u.series_id JOIN studies st ON st.id = se.study_id
    WHERE p.job_id = ANY(:ids) ORDER BY p.job_id, p.place
""")
_FINDINGS = text("SELECT * FROM findings WHERE job_id = ANY(:ids) ORDER BY job_id, ordinal")
# Of one image each: the images of a series that was analysed have one thickness.
_THICKNESS = text("""
    SELECT DISTINCT ON (ji.job_id) ji.job_id, CAST(i.header ->> 'slice_thickness_mm' AS double precision) AS mm
    FROM job_inputs ji JOIN instances i ON i.id = ji.instance_id WHERE ji.job_id = ANY(:ids) ORDER BY ji.job_id, i.id
""")


def prior_rule(stored: Mapping[str, Any]) -> PriorRule:
    """Return the rule of a job from its column. One that was stored before the key ``unique_ids`` existed has it not."""
    return PriorRule(stored["count"], stored["within_days"], tuple(stored["same"]), stored.get("unique_ids", False))


def left_out_results(stored: Mapping[str, Any]) -> LeftOut:
    """Return from the same column which results the choice has left out."""
    return tuple((IdentityDoubt(doubt), number) for doubt, number in sorted(stored.get(LEFT_OUT, {}).items()))


def left_out_to_json(stored: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return from the same column what the choice has left out, for exports; empty where nothing is compared.

    ``results``: how many; 0 for a doubt about the study itself, which is compared with nothing. ``doubt`` is a word of `IdentityDoubt`.
    """
    words = OF_THE_STUDY | BETWEEN_STUDIES
    found = () if stored is None else left_out_results(stored)
    return [{"doubt": doubt.value, "results": number, "reason": words[doubt]} for doubt, number in found]


def slice_thicknesses_mm(connection: Connection, ids: Sequence[int]) -> dict[int, float | None]:
    """Return Slice Thickness (0018,0050) of the series that these jobs were given; None where their header does not state it."""
    return {row.job_id: row.mm for row in connection.execute(_THICKNESS, {"ids": list(ids)})} if ids else {}


def read_prior_results(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[PriorResult, ...]]:
    """Return the results that were chosen for these jobs, with their findings; jobs without any are left out."""
    rows = connection.execute(_PRIORS, {"ids": list(ids)}).all()
    findings: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(_FINDINGS, {"ids": sorted({row.prior_job_id for row in rows})}) if rows else ():
        findings[row.job_id].append(row)
    thickness = slice_thicknesses_mm(connection, sorted({row.prior_job_id for row in rows}))
    found: dict[int, list[PriorResult]] = defaultdict(list)
    for row in rows:
        of_result = tuple(_prior_finding(one, one.ordinal in row.rejected) for one in findings[row.prior_job_id])
        reports = {name: (uids[0], uids[1], uids[2]) for name, uids in row.reports.items()}
        found[row.job_id].append(
            PriorResult(
                row.prior_job_id, row.model_version, row.pipeline_digest, row.study_instance_uid, row.study_date, row.study_time,
                row.days, row.outcome, of_result, reports, row.superseded, thickness.get(row.prior_job_id),
            )
        )  # fmt: skip
    return {id: tuple(priors) for id, priors in found.items()}


def _prior_finding(row: Any, rejected: bool) -> PriorFinding:
    """A finding of an earlier result from its row."""
    values = {item["name"]["value"]: float(item["value"]) for item in row.measurements}
    evaluated = {item["name"]["value"]: str(item["value"]["meaning"]) for item in row.evaluations}
    side, zone = evaluated.get(LATERALITY.value, ""), evaluated.get(TOPOGRAPHICAL_MODIFIER.value, "")
    site = zone or ("" if row.site is None else str(row.site["meaning"]))
    return PriorFinding(
        number=row.ordinal,
        label=row.label,
        meaning=row.code_meaning,
        diameter_mm=row.diameter_mm,
        mean_axis_mm=mean_axis_mm(values.get(LONG_AXIS.value), values.get(SHORT_AXIS.value)),
        volume_mm3=values.get(VOLUME.value),
        where=", ".join(part for part in (site, side.lower()) if part),
        side=side,
        place=None if row.organ_place is None else _organ_place(**row.organ_place),
        rejected=rejected,
    )


def _organ_place(share: list[float], extent_mm: list[float]) -> OrganPlace:
    x, y, z = share
    width, depth, height = extent_mm
    return OrganPlace((x, y, z), (width, depth, height))
