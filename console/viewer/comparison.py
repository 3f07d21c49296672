"""What the viewer says of the comparison with earlier results, in the words of the report, and the addresses of the earlier images."""

from dataclasses import dataclass

from core.policy.priors.sentences import (
    NOT_MATCHED_TO_FINDINGS,
    NOT_NEW,
    REPLACED_SOON,
    TO_BE_CHECKED,
    change_in_words,
    growth_in_words,
    named_result,
    prior_finding_in_words,
    sizes_in_words,
)
from core.records import FindingComparison
from db.viewer.compared_results import ComparedResult, ComparedResults
from db.viewer.viewed_unit import ViewedUnit

NO_FINDING = "It has no finding."
UNMATCHED = "No finding of this result was matched to these. This does not say that they have gone."
REPLACED = "A newer result has taken its place since: run this analysis again to compare with that."


@dataclass(frozen=True, slots=True)
class ShownComparison:
    """What stands below a finding. ``matched``: the earlier finding, ``address``: of its images; both are "" where none was matched."""

    change: str
    details: str
    matched: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class ShownEarlierResult:
    """An earlier result below the findings, with the address of its images; ``findings``: each with the address of its place there."""

    title: str
    address: str
    sentences: tuple[str, ...]
    findings: tuple[tuple[str, str], ...]


def shown_comparisons(unit: ViewedUnit) -> dict[int, ShownComparison]:
    """Return what stands below each finding that was compared, by its number."""
    units = {} if unit.compared is None else {one.prior.job_id: one.unit_id for one in unit.compared.results}
    return {row.ordinal: _of_finding(FindingComparison(**row.comparison), units) for row in unit.findings if row.comparison is not None}


def shown_earlier_results(compared: ComparedResults) -> tuple[ShownEarlierResult, ...]:
    """Return the earlier results, the newest first, with those of their findings to which none of the shown result was matched."""
    return tuple(_of_result(one, matched=compared.matched and place == 0) for place, one in enumerate(compared.results))


def _of_finding(said: FindingComparison, units: dict[int, int]) -> ShownComparison:
    """Return what is said of one finding; ``units``: of the images of the earlier results, by their jobs."""
    if said.finding is None:
        return ShownComparison("No comparable finding", f"in the result of {named_result(said)}: {said.reason}. {NOT_NEW}")
    change, details = change_in_words(said), "; ".join([*sizes_in_words(said), *growth_in_words(said)])
    address = _address(units[said.job_id], said.job_id, said.finding) if said.job_id in units else ""
    return ShownComparison(change[:1].upper() + change[1:], details, f"finding {said.finding} of {named_result(said)}", address)


def _of_result(one: ComparedResult, *, matched: bool) -> ShownEarlierResult:
    prior = one.prior
    if not prior.findings:
        sentences: tuple[str, ...] = (NO_FINDING,)
    elif matched:
        sentences = (TO_BE_CHECKED, UNMATCHED) if one.unmatched else (TO_BE_CHECKED,)
    else:
        sentences = (NOT_MATCHED_TO_FINDINGS,)
    if one.replaced:
        sentences = (*sentences, REPLACED)
    elif prior.superseded:
        sentences = (*sentences, REPLACED_SOON)
    findings = tuple((prior_finding_in_words(each), _address(one.unit_id, prior.job_id, each.number)) for each in one.unmatched)
    return ShownEarlierResult(named_result(prior), _address(one.unit_id, prior.job_id), sentences, findings)


def _address(unit_id: int, job_id: int, finding: int | None = None) -> str:
    """Return the address of the viewer on the images of a result, at one of its findings."""
    return f"/viewer/{unit_id}?job={job_id}" + ("" if finding is None else f"&finding={finding}")
