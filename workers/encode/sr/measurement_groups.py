"""The measurement groups of a report, at least one for each finding (TID 1411, 1410 or 1501 of PS3.16)."""

from collections.abc import Sequence

from core.concepts import codes, private_codes
from core.concepts.measured_values import round_measured
from core.records import Finding, Measurement
from core.states import Outcome
from workers.encode.analysis import Analysis
from workers.encode.finding_text import headline
from workers.encode.measurements import measurements_with_diameter
from workers.encode.sr import concept_names, content_items, finding_location
from workers.encode.sr.comparison_items import change_items
from workers.encode.sr.content_items import HAS_CONCEPT_MOD, HAS_OBS_CONTEXT, INFERRED_FROM, ContentItem
from workers.encode.sr.image_library import image_reference
from workers.encode.sr.tracking_identifiers import tracking_id, tracking_uid

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


def _algorithm_items(analysis: Analysis) -> list[ContentItem]:
    """TID 4019: model, version, and the pipeline digest."""
    identity = analysis.identity
    return [
        content_items.text_item(concept_names.ALGORITHM_NAME, identity.name, HAS_CONCEPT_MOD),
        content_items.text_item(concept_names.ALGORITHM_VERSION, identity.version, HAS_CONCEPT_MOD),
        content_items.text_item(concept_names.ALGORITHM_PARAMETERS, f"pipeline sha256 {identity.digest}", HAS_CONCEPT_MOD),
    ]


def _tracking_items(analysis: Analysis, number: int) -> list[ContentItem]:
    """TID 4108."""
    return [
        content_items.text_item(concept_names.TRACKING_IDENTIFIER, tracking_id(analysis, number), HAS_OBS_CONTEXT),
        content_items.uid_item(concept_names.TRACKING_UID, tracking_uid(analysis, number), HAS_OBS_CONTEXT),
    ]


def finding_groups(analysis: Analysis, finding: Finding, number: int) -> list[ContentItem]:
    """The groups of a finding: TID 1410 for its point, TID 1411 (volume) or 1410 for its segment; without either TID 1501.

    A group takes one region, so point and segment are two groups with one Tracking UID. Probability and score go with the point, the
    other measurements with the segment. Without a segment there is one group.
    """
    segment = finding_location.segment_items(analysis, finding, number)
    region = finding_location.region_item(analysis, finding)
    confidence, others = _confidence_items(analysis, finding), _measurement_items(analysis, finding)
    groups: list[tuple[str, list[ContentItem]]] = []
    if region is not None:
        measurements = [*_inferred_from_point(confidence, analysis, finding), *(() if segment else others)]
        centre = finding_location.centre_item(analysis, finding)
        purpose = content_items.code_item(concept_names.GEOMETRIC_PURPOSE, codes.CENTER)
        location = [purpose, region, *(() if centre is None else (centre,))]
        groups.append(("1410", [*_common_items(analysis, finding, number, measurements), *location]))
    if segment:
        measurements = others if groups else confidence + others
        template = "1411" if analysis.frame_of_reference_uid else "1410"
        groups.append((template, [*_common_items(analysis, finding, number, measurements), *segment]))
    if not groups:
        items = _common_items(analysis, finding, number, confidence + others)
        groups.append(("1501", [*items, *_source_items(analysis, finding)]))
    groups[-1][1].extend(change_items(finding))  # with the measurements whose differences they are
    # Viewers show the comment as the title of the finding (OHIF, docs/viewers.md): headline first, then the advice.
    comment = f"{headline(finding)}. {analysis.advice.get(finding.label, '')}".rstrip()
    groups[0][1].append(content_items.text_item(codes.COMMENT, comment))
    return [content_items.container_item(concept_names.MEASUREMENT_GROUP, group, template=template) for template, group in groups]


def _common_items(analysis: Analysis, finding: Finding, number: int, measurements: Sequence[ContentItem]) -> list[ContentItem]:
    evaluations = [(private_codes.TIER, codes.TIERS[finding.tier]), *((each.name, each.value) for each in finding.evaluations)]
    return [
        *_tracking_items(analysis, number),
        content_items.code_item(concept_names.FINDING, finding.code),
        *finding_location.site_items(analysis, finding),
        *_algorithm_items(analysis),
        *measurements,
        *(content_items.code_item(name, value) for name, value in evaluations),
    ]


def _source_items(analysis: Analysis, finding: Finding) -> list[ContentItem]:
    """The image of a group without region."""
    if not finding.sop_instance_uid:
        return []
    return [content_items.reference_item(concept_names.SOURCE_OF_MEASUREMENT, image_reference(analysis, finding))]


def _confidence_items(analysis: Analysis, finding: Finding) -> list[ContentItem]:
    """Score and probability."""
    values = ((private_codes.SCORE, finding.score), (codes.PROBABILITY, finding.probability))
    return [_number_item(analysis, finding, Measurement(name, value, codes.NO_UNITS)) for name, value in values if value is not None]


def _inferred_from_point(confidence: list[ContentItem], analysis: Analysis, finding: Finding) -> list[ContentItem]:
    """The items with the first inferred from the point instead of the image (TID 300 with TID 320).

    OHIF lists a group only if its first number has coordinates of its own.
    """
    point = finding_location.inference_item(analysis, finding)
    return confidence if point is None or not confidence else [confidence[0].with_children(point), *confidence[1:]]


def _measurement_items(analysis: Analysis, finding: Finding) -> list[ContentItem]:
    return [_number_item(analysis, finding, measurement) for measurement in measurements_with_diameter(finding)]


def _number_item(analysis: Analysis, finding: Finding, measurement: Measurement) -> ContentItem:
    """TID 300, with the image that was measured."""
    number = content_items.number_item(measurement.name, _reported_value(measurement), measurement.unit)
    if not finding.sop_instance_uid:
        return number
    image = content_items.reference_item(concept_names.SOURCE_OF_MEASUREMENT, image_reference(analysis, finding), INFERRED_FROM)
    return number.with_children(image)


def _reported_value(measurement: Measurement) -> float:
    """Probability and score with four decimals, other values as they are everywhere (`core.concepts.measured_values`)."""
    if measurement.name in (codes.PROBABILITY, private_codes.SCORE):
        return round(float(measurement.value), 4)
    return round_measured(measurement.value, measurement.unit.value)


def group_without_finding(analysis: Analysis) -> ContentItem:
    """TID 1501 without a region: what was looked for, or why there is no answer."""
    prediction = analysis.prediction
    group = [*_tracking_items(analysis, 0), *_algorithm_items(analysis)]
    group.append(content_items.code_item(codes.SUMMARY, SUMMARIES[prediction.outcome]))
    if prediction.outcome is Outcome.NO_FINDING:
        group.append(content_items.text_item(private_codes.LOOKED_FOR, prediction.looked_for or "what its card names"))
        group.append(content_items.text_item(codes.COMMENT, EXCLUDES_NOTHING))
    else:
        group.append(content_items.text_item(private_codes.REASON, prediction.reason or "no reason was given"))
    return content_items.container_item(concept_names.MEASUREMENT_GROUP, group, template="1501")
