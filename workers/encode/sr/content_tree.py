"""The content tree of a report: TID 1500 with one measurement group for each finding, and statements about the whole (PS3.16)."""

from collections.abc import Sequence

from core.concepts import codes, private_codes
from core.records import Finding
from core.states import ModelStatus, Outcome, ResultKind
from core.uids import device_uid
from workers.encode.analysis import Analysis, RelatedObject
from workers.encode.finding_text import reported_limits, summary_text
from workers.encode.result_identity import MAX_LO, SERIES_CODES
from workers.encode.sr import concept_names, content_items
from workers.encode.sr.comparison_items import comparison_statements
from workers.encode.sr.content_items import HAS_CONCEPT_MOD, HAS_OBS_CONTEXT, ContentItem
from workers.encode.sr.image_library import image_library
from workers.encode.sr.measurement_groups import SUMMARIES, finding_groups, group_without_finding
from workers.encode.sr.subject_context import subject_context

# Procedure Reported (CID 100) by modality.
PROCEDURES = {"CT": codes.PROCEDURE_CT}


def build_content_tree(analysis: Analysis) -> ContentItem:
    """The root of the tree."""
    findings = analysis.prediction.findings
    groups = [group for number, finding in enumerate(findings, 1) for group in finding_groups(analysis, finding, number)]
    library = image_library(analysis)
    procedure = PROCEDURES.get(analysis.source.modality, codes.PROCEDURE_IMAGING)
    children = [
        content_items.code_item(concept_names.LANGUAGE, concept_names.ENGLISH, HAS_CONCEPT_MOD),
        *device_observer(analysis),
        *subject_context(analysis),
        content_items.code_item(concept_names.PROCEDURE_REPORTED, procedure, HAS_CONCEPT_MOD),
        # First what a person reads: the order of the rows of TID 1500 has no significance.
        _qualitative_evaluations(analysis),
        *(() if library is None else (library,)),
        content_items.container_item(concept_names.IMAGING_MEASUREMENTS, groups or [group_without_finding(analysis)]),
    ]
    return content_items.container_item(concept_names.TITLE, children, relation="", template="1500")


def device_observer(analysis: Analysis) -> list[ContentItem]:
    """TID 1001 with the model as the device observer (TID 1004)."""
    identity = analysis.identity
    return [
        content_items.code_item(concept_names.OBSERVER_TYPE, concept_names.DEVICE, HAS_OBS_CONTEXT),
        content_items.uid_item(concept_names.DEVICE_UID, device_uid(analysis.installation, identity.digest), HAS_OBS_CONTEXT),
        content_items.text_item(concept_names.DEVICE_NAME, identity.title, HAS_OBS_CONTEXT),
        content_items.text_item(concept_names.DEVICE_MANUFACTURER, identity.manufacturer[:MAX_LO], HAS_OBS_CONTEXT),
        # The same value as in Contributing Equipment: IHE AIR, Table 6.5.3.1-1.
        content_items.text_item(concept_names.DEVICE_MODEL, identity.name[:MAX_LO], HAS_OBS_CONTEXT),
    ]


def _qualitative_evaluations(analysis: Analysis) -> ContentItem:
    """TID 1500 row 12, of the whole document: summary in words, outcome, status of the model, what it is not for, limits, objects."""
    identity, prediction = analysis.identity, analysis.prediction
    status = codes.FOR_RESEARCH if identity.status == ModelStatus.RESEARCH else private_codes.CLINICAL
    items = [content_items.text_item(codes.SUMMARY_IN_WORDS, summary_text(analysis))]
    items += [content_items.code_item(codes.SUMMARY, SUMMARIES[prediction.outcome]), content_items.code_item(private_codes.STATUS, status)]
    if prediction.not_covered:  # the sentences are among the notes
        items.append(content_items.code_item(codes.SERIES_QUALITY, codes.COVERAGE_INCOMPLETE))
    items += comparison_statements(analysis)
    items.append(content_items.text_item(private_codes.NOT_FOR, identity.not_for))
    if prediction.probabilities:
        items.append(content_items.text_item(private_codes.CLASS_PROBABILITIES, _class_probabilities(analysis)))
    if prediction.outcome is Outcome.FINDINGS and prediction.looked_for:
        items.append(content_items.text_item(private_codes.LOOKED_FOR, prediction.looked_for))
    if prediction.outcome is Outcome.FINDINGS and prediction.reason:
        items.append(content_items.text_item(private_codes.REASON, prediction.reason))
    limits, reference = reported_limits(analysis)
    statements = (*prediction.notes, *analysis.remarks, *([reference] if reference else []))
    items += [content_items.text_item(codes.COMMENT, sentence) for sentence in statements if sentence.strip()]
    items += [content_items.text_item(private_codes.LIMITS, sentence) for sentence in limits]
    items += [_related_object(related) for related in analysis.related_objects if related.kind is not ResultKind.SEG]
    return content_items.container_item(codes.QUALITATIVE_EVALUATIONS, items)


def _related_object(related: RelatedObject) -> ContentItem:
    """A reference to another object of this result. A segmentation is referred to by the findings with its segments instead."""
    return content_items.reference_item(SERIES_CODES[related.kind], (related.sop_class_uid, related.sop_instance_uid, None))


def _class_probabilities(analysis: Analysis) -> str:
    ordered = sorted(analysis.prediction.probabilities.items())
    return ", ".join(f"{name} {probability:.4f}" for name, probability in ordered)


def referenced_images(findings: Sequence[Finding]) -> tuple[str, ...]:
    """SOP Instance UIDs of the images that findings are seen on, each once, in the order of the findings."""
    return tuple(dict.fromkeys(finding.sop_instance_uid for finding in findings if finding.sop_instance_uid))
