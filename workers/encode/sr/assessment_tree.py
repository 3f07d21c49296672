"""The content tree of an assessment: TID 1500 with one measurement group for each verdict of a clinician (PS3.16).

Groups have the Tracking UIDs of the report that is assessed, so that a reader finds verdict and finding together. The observer is the
person (TID 1003), not the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from core.concepts import codes, private_codes, verdict_codes
from core.concepts.measured_values import round_measured
from core.policy.verdicts import VerdictKind
from core.records import Finding, Prediction
from core.states import ModelStatus, Outcome
from core.uids import result_uid
from db.verdicts.assessment_records import AssessedReport, JudgedFinding
from workers.encode.analysis import Analysis
from workers.encode.finding_text import NOT_ALONE
from workers.encode.sr import concept_names, content_items, finding_location
from workers.encode.sr.content_items import HAS_CONCEPT_MOD, HAS_OBS_CONTEXT, INFERRED_FROM, ContentItem
from workers.encode.sr.content_tree import PROCEDURES
from workers.encode.sr.image_library import image_library, image_reference
from workers.encode.sr.subject_context import subject_context
from workers.encode.sr.tracking_identifiers import tracking_id, tracking_uid

Tracking = Mapping[int, tuple[str, str]]  # Tracking Identifier and Tracking UID by the number of a finding

ABOUT = (
    "This document records what a clinician decided on the output of an algorithm. It is no diagnostic report; "
    "its verdicts refer to the images and the result that are named here."
)


def assessment_tree(analysis: Analysis, judged: Sequence[JudgedFinding], report: AssessedReport, tracking: Tracking) -> ContentItem:
    """The root of the tree. ``judged``: at least one verdict. ``tracking``: of the report that is assessed."""
    marked = marked_analysis(analysis, judged)
    library = image_library(marked)
    procedure = PROCEDURES.get(analysis.source.modality, codes.PROCEDURE_IMAGING)
    last = max(judged, key=lambda each: each.verdict_id)
    children = [
        content_items.code_item(concept_names.LANGUAGE, concept_names.ENGLISH, HAS_CONCEPT_MOD),
        *person_observer(last.user),
        *subject_context(analysis),
        content_items.code_item(concept_names.PROCEDURE_REPORTED, procedure, HAS_CONCEPT_MOD),
        *(() if library is None else (library,)),
        content_items.container_item(concept_names.IMAGING_MEASUREMENTS, [_group(marked, each, tracking) for each in judged]),
        _statements(analysis, report),
    ]
    return content_items.container_item(concept_names.TITLE, children, relation="", template="1500")


def marked_analysis(analysis: Analysis, judged: Sequence[JudgedFinding]) -> Analysis:
    """The analysis with the findings whose place a clinician has marked, which are the ones that refer to images."""
    marked = tuple(each.finding for each in judged if each.finding is not None and each.finding.sop_instance_uid)
    return replace(analysis, prediction=Prediction(Outcome.FINDINGS, marked), related_objects=(), item=None)


def person_observer(user: str) -> list[ContentItem]:
    """TID 1001 with a person as the observer (TID 1003): the account of the console."""
    return [
        content_items.code_item(concept_names.OBSERVER_TYPE, concept_names.PERSON, HAS_OBS_CONTEXT),
        content_items.person_item(concept_names.PERSON_NAME, user, HAS_OBS_CONTEXT),
        content_items.text_item(concept_names.PERSON_LOGIN, user, HAS_OBS_CONTEXT),
    ]


def _group(analysis: Analysis, judged: JudgedFinding, tracking: Tracking) -> ContentItem:
    """TID 1410 where the clinician has marked a place, else TID 1501."""
    finding = judged.finding
    items = [*_tracking_items(analysis, judged, tracking)]
    if finding is not None:
        items += [content_items.code_item(concept_names.FINDING, finding.code), *_diameter(analysis, finding)]
    items.append(content_items.code_item(private_codes.VERDICT, verdict_codes.VERDICTS[judged.kind]))
    if judged.reason is not None:
        items.append(content_items.code_item(private_codes.VERDICT_REASON, verdict_codes.REASONS[judged.reason]))
    region = None if finding is None else finding_location.region_item(analysis, finding)
    if finding is not None and region is not None:
        centre = finding_location.centre_item(analysis, finding)
        purpose = content_items.code_item(concept_names.GEOMETRIC_PURPOSE, codes.CENTER)
        items += [purpose, region, *(() if centre is None else (centre,))]
    items.append(content_items.text_item(codes.COMMENT, comment(judged)))
    return content_items.container_item(concept_names.MEASUREMENT_GROUP, items, template="1501" if region is None else "1410")


def _tracking_items(analysis: Analysis, judged: JudgedFinding, tracking: Tracking) -> list[ContentItem]:
    """TID 4108: the identifiers in the assessed report; new ones for a missed finding."""
    if judged.number is None:
        name = f"clinician {judged.verdict_id}"
        uid = result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, "missed", str(judged.verdict_id))
    else:
        derived = tracking_id(analysis, judged.number), tracking_uid(analysis, judged.number)
        name, uid = tracking.get(judged.number, derived)
    return [
        content_items.text_item(concept_names.TRACKING_IDENTIFIER, name, HAS_OBS_CONTEXT),
        content_items.uid_item(concept_names.TRACKING_UID, uid, HAS_OBS_CONTEXT),
    ]


def _diameter(analysis: Analysis, finding: Finding) -> list[ContentItem]:
    """TID 300: the diameter that the clinician gave, with the image on which the place was marked."""
    if finding.diameter_mm is None:
        return []
    number = content_items.number_item(codes.DIAMETER, round_measured(finding.diameter_mm, codes.MILLIMETER.value), codes.MILLIMETER)
    if not finding.sop_instance_uid:
        return [number]
    image = content_items.reference_item(concept_names.SOURCE_OF_MEASUREMENT, image_reference(analysis, finding), INFERRED_FROM)
    return [number.with_children(image)]


def comment(judged: JudgedFinding) -> str:
    """The verdict in one line, which viewers show as the title of the group."""
    what = "the result without findings" if judged.finding is None else judged.finding.code.meaning
    why = "" if judged.reason is None else f" ({verdict_codes.REASONS[judged.reason].meaning})"
    verdict = verdict_codes.VERDICTS[VerdictKind(judged.kind)].meaning
    return f"{verdict}{why}: {what}. By {judged.user}, {judged.at:%Y-%m-%d %H:%M:%S} UTC"


def _statements(analysis: Analysis, report: AssessedReport) -> ContentItem:
    """TID 1500 row 12, of the whole document: the report that is assessed, status of the model, and what this document is not for."""
    sop_class_uid, sop_instance_uid, _ = report.uids
    status = codes.FOR_RESEARCH if analysis.identity.status == ModelStatus.RESEARCH else private_codes.CLINICAL
    items = [
        content_items.reference_item(codes.MEASUREMENT_REPORT, (sop_class_uid, sop_instance_uid, None)),
        content_items.code_item(private_codes.STATUS, status),
        content_items.text_item(private_codes.NOT_FOR, f"{NOT_ALONE} {ABOUT} Of the algorithm: {analysis.identity.not_for}"),
    ]
    return content_items.container_item(codes.QUALITATIVE_EVALUATIONS, items)
