"""The content tree of a report: TID 1500 with one measurement group a finding (PS3.16), and what holds for all of it."""

from collections.abc import Sequence

from pydicom.uid import EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage

from core import codes, private_codes
from core.records import Finding
from core.states import ModelStatus, Outcome, ResultKind
from core.uids import device_uid
from workers.encode.analysis import Analysis, Companion
from workers.encode.common import MAX_LO, SERIES_CODES
from workers.encode.sr import concept_names, content_items
from workers.encode.sr.content_items import MODIFIED, OBSERVED, Item
from workers.encode.sr.image_library import image_library
from workers.encode.sr.measurement_groups import SUMMARIES, finding_groups, group_without_finding

PROCEDURES = {"CT": codes.PROCEDURE_CT}
# Objects that have no pixels: everything else is referred to as an image.
NO_IMAGES = frozenset({str(EncapsulatedPDFStorage), str(KeyObjectSelectionDocumentStorage)})


def report(analysis: Analysis) -> Item:
    """The whole tree: its root."""
    findings = analysis.prediction.findings
    groups = [group for number, finding in enumerate(findings, 1) for group in finding_groups(analysis, finding, number)]
    library = image_library(analysis)
    tree = [
        content_items.coded(concept_names.LANGUAGE, concept_names.ENGLISH, MODIFIED),
        *observer(analysis),
        content_items.coded(concept_names.PROCEDURE_REPORTED, PROCEDURES.get(analysis.source.modality, codes.PROCEDURE_IMAGING), MODIFIED),
        *(() if library is None else (library,)),
        content_items.container(concept_names.IMAGING_MEASUREMENTS, groups or [group_without_finding(analysis)]),
        _statements(analysis),
    ]
    return content_items.container(concept_names.TITLE, tree, relation="", template="1500")


def observer(analysis: Analysis) -> list[Item]:
    """TID 1001 with the model as the device observer (TID 1004)."""
    identity = analysis.identity
    return [
        content_items.coded(concept_names.OBSERVER_TYPE, concept_names.DEVICE, OBSERVED),
        content_items.unique(concept_names.DEVICE_UID, device_uid(analysis.installation, identity.digest), OBSERVED),
        content_items.text(concept_names.DEVICE_NAME, identity.title, OBSERVED),
        content_items.text(concept_names.DEVICE_MANUFACTURER, identity.manufacturer[:MAX_LO], OBSERVED),
        # with the same value as in the equipment: IHE AIR, Table 6.5.3.1-1
        content_items.text(concept_names.DEVICE_MODEL, identity.name[:MAX_LO], OBSERVED),
    ]


def _statements(analysis: Analysis) -> Item:
    """TID 1500 row 12, Qualitative Evaluations of the whole document: outcome, status, what it is not for, limits."""
    identity, prediction = analysis.identity, analysis.prediction
    status = codes.FOR_RESEARCH if identity.status == ModelStatus.RESEARCH else private_codes.CLINICAL
    said = [content_items.coded(codes.SUMMARY, SUMMARIES[prediction.outcome]), content_items.coded(private_codes.STATUS, status)]
    said.append(content_items.text(private_codes.NOT_FOR, identity.not_for))
    if prediction.probabilities:
        said.append(content_items.text(private_codes.CLASS_PROBABILITIES, _classes(analysis)))
    if prediction.outcome is Outcome.FINDINGS and prediction.looked_for:
        said.append(content_items.text(private_codes.LOOKED_FOR, prediction.looked_for))
    if prediction.outcome is Outcome.FINDINGS and prediction.reason:
        said.append(content_items.text(private_codes.REASON, prediction.reason))
    said += [content_items.text(private_codes.LIMITS, words) for words in (*analysis.limits, *prediction.notes)]
    said += [_companion(one) for one in analysis.companions if one.kind is not ResultKind.SEG]
    return content_items.container(codes.QUALITATIVE_EVALUATIONS, said)


def _companion(one: Companion) -> Item:
    """Another object of this result. Segmentations are referred to by the findings whose segments they hold."""
    kind = "COMPOSITE" if one.sop_class_uid in NO_IMAGES else "IMAGE"
    return content_items.image(SERIES_CODES[one.kind], (one.sop_class_uid, one.sop_instance_uid, None), kind=kind)


def _classes(analysis: Analysis) -> str:
    ordered = sorted(analysis.prediction.probabilities.items())
    return ", ".join(f"{name} {probability:.4f}" for name, probability in ordered)


def referenced(findings: Sequence[Finding]) -> tuple[str, ...]:
    """SOP Instance UIDs of the images that findings are seen on, each once, in their order."""
    return tuple(dict.fromkeys(finding.sop_instance_uid for finding in findings if finding.sop_instance_uid))
