"""The comparison with earlier results in words, the same in reports, pages and the API."""

from collections.abc import Sequence

from core.concepts.measured_values import format_measured
from core.policy.priors.choice import PriorRule
from core.policy.priors.growth import LUNG_RADS_MM, is_lung_rads_growth
from core.policy.priors.same_patient import OF_THE_STUDY, LeftOut, left_out_in_words
from core.policy.routes.route_sentences import join_words, keyword_in_words
from core.records import Change, Finding, FindingComparison, PriorFinding, PriorResult

TO_BE_CHECKED = "Matched automatically by place and size: the reader has to check each match in both examinations."
NOT_MATCHED_TO_FINDINGS = "Earlier findings are listed and not matched to those of this result."
NOT_NEW = "This does not say that it is new."
REPLACED_SOON = "It was superseded when it was chosen, and the result that takes its place was not there yet."
MOST_LISTED = 5
CHANGES = {
    Change.WITHIN_ERROR: "within the measuring error, so that growth is not excluded",
    Change.LARGER: "larger, beyond the measuring error",
    Change.SMALLER: "smaller, beyond the measuring error",
}


def rule_in_words(rule: PriorRule) -> str:
    """Return the rule of a route as a sentence."""
    many = "the last earlier result" if rule.count == 1 else f"up to {rule.count} earlier results"
    keywords = [keyword_in_words(keyword) for keyword in rule.same]
    alike = f" of the same {join_words(keywords, 'and')}" if keywords else ""
    unique = " An equal Patient ID is enough to be the same patient." if rule.unique_ids else ""
    return f"Compare with {many} of the patient by this model{alike}, from studies of up to {rule.within_days} days before.{unique}"


def nothing_earlier(rule: PriorRule, left_out: LeftOut = ()) -> str:
    """Return the sentences of a result for which no earlier one was found, and why results of the same Patient ID were left out."""
    if any(doubt in OF_THE_STUDY for doubt, _ in left_out):
        return f"Nothing was compared. {left_out_in_words(left_out)}"
    none = f"No earlier result of this model within {rule.within_days} days was found for the patient: nothing was compared."
    return " ".join([none, left_out_in_words(left_out)]).strip()


def date_in_words(study_date: str) -> str:
    """Return a DICOM date (DA) as 2026-11-20."""
    return f"{study_date[:4]}-{study_date[4:6]}-{study_date[6:]}" if len(study_date) == 8 else study_date


def days_in_words(days: int) -> str:
    """Return how many days lie between an earlier examination and this one."""
    return "the same day" if days == 0 else "1 day before" if days == 1 else f"{days} days before"


def named_result(one: PriorResult | FindingComparison) -> str:
    """Return date, interval, version and job of an earlier result: two of one day differ by their jobs."""
    return f"{date_in_words(one.study_date)} ({days_in_words(one.days)}, version {one.model_version}, job {one.job_id})"


def prior_in_words(prior: PriorResult) -> str:
    """Return the line about one earlier result: when, by which version, and its findings."""
    named, then = named_result(prior), f" {REPLACED_SOON}" if prior.superseded else ""
    if not prior.findings:
        return f"Earlier result of {named}: no finding.{then}"
    lines = [prior_finding_in_words(finding) for finding in prior.findings[:MOST_LISTED]]
    if (more := len(prior.findings) - MOST_LISTED) > 0:
        lines.append(f"{more} more")
    many = "1 finding" if len(prior.findings) == 1 else f"{len(prior.findings)} findings"
    return f"Earlier result of {named}: {many}: {'; '.join(lines)}.{then}"


def prior_finding_in_words(finding: PriorFinding) -> str:
    """Return number, kind, size and place of a finding of an earlier result."""
    size = "" if finding.diameter_mm is None else f" {format_measured(finding.diameter_mm, 'mm')}"
    where = f", {finding.where}" if finding.where else ""
    return f"{finding.number} {finding.meaning}{size}{where}{', rejected by a clinician' if finding.rejected else ''}"


def comparison_in_words(said: FindingComparison) -> str:
    """Return the sentence about one finding."""
    then = named_result(said)
    if said.finding is None:
        return f"No comparable finding was found in the result of {then}: {said.reason}. {NOT_NEW}"
    head = f"Probably finding {said.finding} of {then}, matched automatically and to be checked by the reader"
    return f"{'; '.join([head, *sizes_in_words(said), change_in_words(said), *growth_in_words(said)])}."


def change_in_words(said: FindingComparison) -> str:
    """Return what the comparison says of the size of a matched finding."""
    return CHANGES.get(said.change, f"not judged: {said.reason}")


def sizes_in_words(said: FindingComparison) -> list[str]:
    """Return volume and diameter of a matched finding in the earlier result, with the differences."""
    parts = []
    if said.volume_mm3_before is not None:
        volume = f"volume then {format_measured(said.volume_mm3_before, 'mm3')}"
        if said.volume_percent is not None and said.volume_difference_mm3 is not None:
            volume += f", difference {_signed(said.volume_difference_mm3, 'mm3')} ({said.volume_percent:+.0f} %)"
        parts.append(volume)
    if said.diameter_mm_before is not None:
        diameter = f"diameter then {format_measured(said.diameter_mm_before, 'mm')}"
        if said.diameter_difference_mm is not None:
            diameter += f", difference {_signed(said.diameter_difference_mm, 'mm')}"
        parts.append(diameter)
    return parts


def growth_in_words(said: FindingComparison) -> list[str]:
    """Return the volume doubling time of a matched finding, and whether it has grown by the limit of Lung-RADS, where that is said."""
    parts = [] if said.doubling_days is None else [f"volume doubling time {said.doubling_days:.0f} days"]
    if said.change != Change.NOT_JUDGED and is_lung_rads_growth(said.mean_axis_difference_mm, said.days):
        parts.append(f"the mean axis has grown by more than {LUNG_RADS_MM:g} mm within 12 months, the limit of Lung-RADS 2022")
    return parts


def without_counterpart(findings: Sequence[Finding], prior: PriorResult) -> str:
    """Return the sentence on findings of the earlier result that no finding of this one matches; "" where there are none."""
    matched = {finding.comparison.finding for finding in findings if finding.comparison is not None}
    others = [str(one.number) for one in prior.findings if one.number not in matched and not one.rejected]
    if not others:
        return ""
    which, gone = ("finding", "it has gone") if len(others) == 1 else ("findings", "they have gone")
    where = f"the result of {date_in_words(prior.study_date)} (job {prior.job_id})"
    return f"To {which} {join_words(others, 'and')} of {where} none of this one was matched: this does not say that {gone}."


def _signed(value: float, unit: str) -> str:
    return f"{'+' if value > 0 else ''}{format_measured(value, unit)}"


def compared_in_short(findings: Sequence[Finding], priors: Sequence[PriorResult], rule: PriorRule, left_out: LeftOut = ()) -> str:
    """Return one sentence for a summary: with what the result was compared, and how many findings were matched."""
    if not priors:
        return nothing_earlier(rule, left_out)
    said = [finding.comparison for finding in findings if finding.comparison is not None]
    if not said:
        dates = join_words([date_in_words(prior.study_date) for prior in priors], "and")
        return f"Earlier results of {dates} are listed, without a match of findings."
    matched = sum(one.finding is not None for one in said)
    newest = date_in_words(priors[0].study_date)
    return f"{matched} of {len(said)} findings matched automatically to the result of {newest}: the reader has to check this."
