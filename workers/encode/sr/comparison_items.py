"""The comparison with earlier results in the report: statements on the whole, and what is said of each finding.

TID 1500 has no rows for it. Statements stand in its qualitative evaluations, with a reference to the earlier report where all destinations
of this one have stored that; values are further measurements of the finding's group (TID 300). Both templates may be extended.
"""

from collections.abc import Iterator

from core.concepts import codes, private_codes
from core.policy.priors.sentences import comparison_in_words
from core.records import Change, Code, Finding, PriorResult
from workers.encode.analysis import Analysis, Predecessor
from workers.encode.finding_text import comparison_lines
from workers.encode.sr import content_items
from workers.encode.sr.content_items import HAS_ACQ_CONTEXT, ContentItem

CHANGES: dict[str, Code] = {
    Change.NOT_MATCHED: private_codes.CHANGE_NOT_MATCHED,
    Change.NOT_JUDGED: private_codes.CHANGE_NOT_JUDGED,
    Change.WITHIN_ERROR: private_codes.CHANGE_WITHIN_ERROR,
    Change.LARGER: private_codes.CHANGE_LARGER,
    Change.SMALLER: private_codes.CHANGE_SMALLER,
}


def comparison_statements(analysis: Analysis) -> list[ContentItem]:
    """What the result was compared with, in words, and the earlier reports."""
    lines = [content_items.text_item(private_codes.COMPARED_WITH, line) for line in comparison_lines(analysis)]
    referenced = () if analysis.earlier is None else analysis.earlier.referenced
    return [*lines, *(_reference(prior, report) for prior, report in referenced)]


def _reference(prior: PriorResult, report: Predecessor) -> ContentItem:
    """The earlier report with the date of its study."""
    names = (report.sop_class_uid, report.sop_instance_uid, None)
    date = content_items.date_item(codes.STUDY_DATE, prior.study_date, HAS_ACQ_CONTEXT)
    return content_items.reference_item(codes.PRIOR_REPORT, names).with_children(date)


def change_items(finding: Finding) -> list[ContentItem]:
    """What the comparison says of a finding: change as a code, values, and a sentence; none without a comparison."""
    said = finding.comparison
    if said is None:
        return []
    numbers = [content_items.number_item(name, value, unit) for name, value, unit in _values(finding)]
    sentence = content_items.text_item(codes.DESCRIPTION_OF_CHANGE, comparison_in_words(said))
    return [*numbers, content_items.code_item(private_codes.CHANGE, CHANGES[said.change]), sentence]


def _values(finding: Finding) -> Iterator[tuple[Code, float, Code]]:
    said = finding.comparison
    if said is None or said.finding is None:
        return
    for name, value, unit in (
        (private_codes.DAYS_BETWEEN, said.days, codes.DAY),
        (private_codes.EARLIER_VOLUME, said.volume_mm3_before, codes.CUBIC_MILLIMETER),
        (private_codes.VOLUME_DIFFERENCE, said.volume_difference_mm3, codes.CUBIC_MILLIMETER),
        (private_codes.VOLUME_PERCENT, said.volume_percent, codes.PERCENT),
        (private_codes.EARLIER_DIAMETER, said.diameter_mm_before, codes.MILLIMETER),
        (private_codes.DIAMETER_DIFFERENCE, said.diameter_difference_mm, codes.MILLIMETER),
        (private_codes.DOUBLING_TIME, said.doubling_days, codes.DAY),
    ):
        if value is not None:
            yield name, value, unit
