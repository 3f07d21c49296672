"""The measurement groups of a report, one a finding (TID 1411, 1410 or 1501 of PS3.16)."""

from collections.abc import Sequence

from core import codes, private_codes
from core.records import Finding, Measurement
from core.states import Outcome
from workers.encode.analysis import Analysis
from workers.encode.sr import concept_names, content_items, regions
from workers.encode.sr.content_items import INFERRED, MODIFIED, OBSERVED, Item
from workers.encode.sr.image_library import image_reference
from workers.encode.sr.tracking import tracking_id, tracking_uid
from workers.encode.words import headline

SUMMARIES = {
    Outcome.FINDINGS: codes.WITH_FINDINGS,
    Outcome.NO_FINDING: codes.WITHOUT_FINDINGS,
    Outcome.ABSTAINED: private_codes.ABSTAINED,
    Outcome.NOT_ANALYSED: codes.NONE_SUCCEEDED,
}
EXCLUDES_NOTHING = (
    "Nothing was found that reaches the operating point. This excludes nothing: "
    "what is smaller, fainter or of another kind was not looked for."
)


def _algorithm(analysis: Analysis) -> list[Item]:
    """TID 4019: which model, which version, and the digest over weights, card and processing."""
    identity = analysis.identity
    return [
        content_items.text(concept_names.ALGORITHM_NAME, identity.name, MODIFIED),
        content_items.text(concept_names.ALGORITHM_VERSION, identity.version, MODIFIED),
        content_items.text(concept_names.ALGORITHM_PARAMETERS, f"pipeline sha256 {identity.digest}", MODIFIED),
    ]


def _tracking(analysis: Analysis, number: int) -> list[Item]:
    """TID 4108: the same on retry, another for every finding and revision."""
    return [
        content_items.text(concept_names.TRACKING_IDENTIFIER, tracking_id(analysis, number), OBSERVED),
        content_items.unique(concept_names.TRACKING_UID, tracking_uid(analysis, number), OBSERVED),
    ]


def finding_groups(analysis: Analysis, finding: Finding, number: int) -> list[Item]:
    """What is said of a finding: TID 1410 on its point, and on its segment TID 1411 (of a volume) or 1410; else TID 1501 on its image.

    Point and segment are two groups with one Tracking UID, because a group takes one region: how sure goes with the point, the
    other numbers go with the segment. Without a segment there is one group.
    """
    segment, region = regions.segment(analysis, finding, number), regions.point(analysis, finding)
    sure, others = _sure(analysis, finding), _others(analysis, finding)
    groups: list[tuple[str, list[Item]]] = []
    if region is not None:
        numbers = [*_inferred_from_point(sure, analysis, finding), *(() if segment else others)]
        centre = regions.centre(analysis, finding)
        purpose = content_items.coded(concept_names.GEOMETRIC_PURPOSE, codes.CENTER)
        place = [purpose, region, *(() if centre is None else (centre,))]
        groups.append(("1410", [*_common(analysis, finding, number, numbers), *place]))
    if segment:
        numbers = others if groups else sure + others
        template = "1411" if analysis.frame_of_reference_uid else "1410"
        groups.append((template, [*_common(analysis, finding, number, numbers), *segment]))
    if not groups:
        groups.append(("1501", [*_common(analysis, finding, number, sure + others), *_source(analysis, finding)]))
    # Viewers show the comment as the finding's title (OHIF, docs/viewers.md): what and how sure first, then the advice.
    said = f"{headline(finding)}. {analysis.advice.get(finding.label, '')}".rstrip()
    groups[0][1].append(content_items.text(codes.COMMENT, said))
    return [content_items.container(concept_names.MEASUREMENT_GROUP, group, template=template) for template, group in groups]


def _common(analysis: Analysis, finding: Finding, number: int, measurements: Sequence[Item]) -> list[Item]:
    judged = [(private_codes.TIER, codes.TIERS[finding.tier]), *((each.name, each.value) for each in finding.evaluations)]
    return [
        *_tracking(analysis, number),
        content_items.coded(concept_names.FINDING, finding.code),
        *regions.sites(analysis, finding),
        *_algorithm(analysis),
        *measurements,
        *(content_items.coded(name, value) for name, value in judged),
    ]


def _source(analysis: Analysis, finding: Finding) -> list[Item]:
    """The image of a group that has no region."""
    return (
        [content_items.image(concept_names.SOURCE_OF_MEASUREMENT, image_reference(analysis, finding))] if finding.sop_instance_uid else []
    )


def _sure(analysis: Analysis, finding: Finding) -> list[Item]:
    """Probability and score."""
    named = ((private_codes.SCORE, finding.score), (codes.PROBABILITY, finding.probability))
    return [_measured(analysis, finding, Measurement(name, value, codes.NO_UNITS)) for name, value in named if value is not None]


def _inferred_from_point(sure: list[Item], analysis: Analysis, finding: Finding) -> list[Item]:
    """TID 300 with TID 320: coordinates in the place of the image. OHIF lists a group only where its first number has its own."""
    place = regions.coordinates(analysis, finding)
    return sure if place is None or not sure else [sure[0].having(place), *sure[1:]]


def _others(analysis: Analysis, finding: Finding) -> list[Item]:
    values = list(finding.measurements)
    named = {measurement.name for measurement in values}
    if finding.diameter_mm is not None and codes.DIAMETER not in named:
        values.insert(0, Measurement(codes.DIAMETER, finding.diameter_mm, codes.MILLIMETER))
    return [_measured(analysis, finding, value) for value in values]


def _measured(analysis: Analysis, finding: Finding, value: Measurement) -> Item:
    """TID 300, with the image that it was measured on."""
    number = content_items.number(value.name, rounded(value.value), value.unit)
    if not finding.sop_instance_uid:
        return number
    return number.having(content_items.image(concept_names.SOURCE_OF_MEASUREMENT, image_reference(analysis, finding), INFERRED))


def rounded(value: float) -> float:
    """Four decimals, or four digits from 1000 on: more would claim a precision that no model has, and DS takes 16 characters."""
    return float(f"{value:.4g}") if abs(value) >= 1000 else round(float(value), 4)


def group_without_finding(analysis: Analysis) -> Item:
    """TID 1501 without a region: what was looked for, or why nothing could be said."""
    prediction = analysis.prediction
    group = [*_tracking(analysis, 0), *_algorithm(analysis), content_items.coded(codes.SUMMARY, SUMMARIES[prediction.outcome])]
    if prediction.outcome is Outcome.NO_FINDING:
        group.append(content_items.text(private_codes.LOOKED_FOR, prediction.looked_for or "what its card names"))
        group.append(content_items.text(codes.COMMENT, EXCLUDES_NOTHING))
    else:
        group.append(content_items.text(private_codes.REASON, prediction.reason or "no reason was given"))
    return content_items.container(concept_names.MEASUREMENT_GROUP, group, template="1501")
