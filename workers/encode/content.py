"""The content tree of a report: TID 1500 with one measurement group a finding (PS3.16), and what holds for all of it."""

from collections.abc import Sequence

import highdicom.sr as hdsr
from highdicom.sr.enum import RelationshipTypeValues
from pydicom.sr.codedict import codes as dictionary
from pydicom.uid import EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

from core import codes
from core.records import Code, Finding
from core.states import ModelStatus, Outcome, ReportKind
from core.uids import device_uid
from workers.encode.analysis import Analysis, Companion
from workers.encode.common import MAX_LO, SERIES_CODES
from workers.encode.groups import SUMMARIES, finding_groups, group_without_finding
from workers.encode.library import concept, image_library, text

PROCEDURES = {"CT": codes.PROCEDURE_CT}
# Objects that have no pixels: everything else is referred to as an image.
NO_IMAGES = frozenset({str(EncapsulatedPDFStorage), str(KeyObjectSelectionDocumentStorage)})


def report(analysis: Analysis) -> hdsr.MeasurementReport:
    """The whole tree, root item first."""
    findings = analysis.prediction.findings
    groups = [group for number, finding in enumerate(findings, 1) for group in finding_groups(analysis, finding, number)]
    tree = hdsr.MeasurementReport(
        observation_context=observer(analysis),
        procedure_reported=concept(PROCEDURES.get(analysis.source.modality, codes.PROCEDURE_IMAGING)),
        imaging_measurements=groups or [group_without_finding(analysis)],
        title=dictionary.DCM.ImagingMeasurementReport,
    )
    library = image_library(analysis)
    items = tree[0].ContentSequence
    if library is not None:  # TID 1500: the library stands in front of the measurements
        items.insert(len(items) - 1, library)
    items.append(_statements(analysis))
    return tree


def observer(analysis: Analysis) -> hdsr.ObservationContext:
    """TID 1001 with the model as the device observer (TID 1004)."""
    identity = analysis.identity
    return hdsr.ObservationContext(
        observer_device_context=hdsr.ObserverContext(
            observer_type=dictionary.DCM.Device,
            observer_identifying_attributes=hdsr.DeviceObserverIdentifyingAttributes(
                uid=device_uid(analysis.installation, identity.digest),
                name=identity.title,
                manufacturer_name=identity.manufacturer[:MAX_LO],
                model_name=identity.name[:MAX_LO],  # with the same value as in the equipment: IHE AIR, Table 6.5.3.1-1
            ),
        )
    )


def _statements(analysis: Analysis) -> hdsr.ContainerContentItem:
    """TID 1500 row 12, Qualitative Evaluations of the whole document: outcome, status, what it is not for, limits."""
    identity, prediction = analysis.identity, analysis.prediction
    container = hdsr.ContainerContentItem(concept(codes.QUALITATIVE_EVALUATIONS), relationship_type=RelationshipTypeValues.CONTAINS)
    status = codes.FOR_RESEARCH if identity.status == ModelStatus.RESEARCH else codes.CLINICAL
    items = hdsr.ContentSequence()
    items.extend([_coded(codes.SUMMARY, SUMMARIES[prediction.outcome]), _coded(codes.STATUS, status)])
    items.append(text(codes.NOT_FOR, identity.not_for))
    if prediction.probabilities:
        items.append(text(codes.CLASS_PROBABILITIES, _classes(analysis)))
    if prediction.outcome is Outcome.FINDINGS and prediction.looked_for:
        items.append(text(codes.LOOKED_FOR, prediction.looked_for))
    if prediction.outcome is Outcome.FINDINGS and prediction.reason:
        items.append(text(codes.REASON, prediction.reason))
    for words in (*analysis.limits, *prediction.notes):
        items.append(text(codes.LIMITS, words))
    items.extend(_companion(one) for one in analysis.companions if one.kind is not ReportKind.SEG)
    container.ContentSequence = items
    return container


def _companion(one: Companion) -> hdsr.ImageContentItem | hdsr.CompositeContentItem:
    """Another object of this result. Segmentations are referred to by the findings whose segments they hold."""
    made = hdsr.CompositeContentItem if one.sop_class_uid in NO_IMAGES else hdsr.ImageContentItem
    return made(
        concept(SERIES_CODES[one.kind]), one.sop_class_uid, one.sop_instance_uid, relationship_type=RelationshipTypeValues.CONTAINS
    )


def _classes(analysis: Analysis) -> str:
    ordered = sorted(analysis.prediction.probabilities.items())
    return ", ".join(f"{name} {probability:.4f}" for name, probability in ordered)


def _coded(name: Code, value: Code) -> hdsr.CodeContentItem:
    return hdsr.CodeContentItem(concept(name), concept(value), RelationshipTypeValues.CONTAINS)


def referenced(findings: Sequence[Finding]) -> tuple[str, ...]:
    """SOP Instance UIDs of the images that findings are seen on, each once, in their order."""
    return tuple(dict.fromkeys(finding.sop_instance_uid for finding in findings if finding.sop_instance_uid))
