"""The content tree of a report: TID 1500 with one measurement group a finding (PS3.16).

Everything is passed in; highdicom would draw tracking UIDs at random where none is given.
"""

from collections.abc import Sequence
from typing import Any

import highdicom.sr as hdsr
import numpy as np
from highdicom.sr.enum import RelationshipTypeValues
from pydicom.sr.codedict import codes as dictionary

from core import codes
from core.records import Code, Finding, Measurement
from core.states import ModelStatus, Outcome
from core.uids import device_uid, result_uid
from workers.encode.analysis import Analysis
from workers.encode.library import concept, image_library, image_reference, text

Group = hdsr.PlanarROIMeasurementsAndQualitativeEvaluations | hdsr.MeasurementsAndQualitativeEvaluations
PROCEDURES = {"CT": codes.PROCEDURE_CT}
SUMMARIES = {
    Outcome.FINDINGS: codes.WITH_FINDINGS,
    Outcome.NO_FINDING: codes.WITHOUT_FINDINGS,
    Outcome.ABSTAINED: codes.ABSTAINED,
    Outcome.NOT_ANALYSED: codes.NONE_SUCCEEDED,
}
EXCLUDES_NOTHING = (
    "Nothing was found that reaches the operating point. This excludes nothing: "
    "what is smaller, fainter or of another kind was not looked for."
)


def report(analysis: Analysis) -> hdsr.MeasurementReport:
    """The whole tree, root item first."""
    findings = analysis.prediction.findings
    groups = [_finding(analysis, finding, number) for number, finding in enumerate(findings, 1)] or [_without_finding(analysis)]
    tree = hdsr.MeasurementReport(
        observation_context=_observer(analysis),
        procedure_reported=concept(PROCEDURES.get(analysis.source.modality, codes.PROCEDURE_IMAGING)),
        imaging_measurements=groups,
        title=dictionary.DCM.ImagingMeasurementReport,
    )
    library = image_library(analysis)
    items = tree[0].ContentSequence
    if library is not None:  # TID 1500: the library stands in front of the measurements
        items.insert(len(items) - 1, library)
    items.append(_statements(analysis))
    return tree


def _observer(analysis: Analysis) -> hdsr.ObservationContext:
    """TID 1001 with the model as the device observer (TID 1004)."""
    identity = analysis.identity
    return hdsr.ObservationContext(
        observer_device_context=hdsr.ObserverContext(
            observer_type=dictionary.DCM.Device,
            observer_identifying_attributes=hdsr.DeviceObserverIdentifyingAttributes(
                uid=device_uid(analysis.installation, identity.digest),
                name=identity.title,
                manufacturer_name=identity.manufacturer,
                model_name=f"{identity.name} {identity.version}",
            ),
        )
    )


def _algorithm(analysis: Analysis) -> hdsr.AlgorithmIdentification:
    """TID 4019: which model, which version, and the digest over weights, card and processing."""
    identity = analysis.identity
    parameters = [f"pipeline sha256 {identity.digest}"]
    return hdsr.AlgorithmIdentification(identity.name, identity.version, parameters)


def _tracking(analysis: Analysis, number: int) -> hdsr.TrackingIdentifier:
    """TID 4108: the same on retry, another for every finding and revision."""
    name = f"{analysis.identity.name} {number}"
    uid = result_uid(analysis.installation, analysis.key, analysis.revision, analysis.run, "tracking", str(number))
    return hdsr.TrackingIdentifier(uid=uid, identifier=name)


def _finding(analysis: Analysis, finding: Finding, number: int) -> Group:
    """TID 1410 where the finding has a place, else TID 1501 on its image."""
    common: dict[str, Any] = {
        "tracking_identifier": _tracking(analysis, number),
        "finding_type": concept(finding.code),
        "algorithm_id": _algorithm(analysis),
        "finding_sites": [hdsr.FindingSite(concept(finding.site))] if finding.site is not None else None,
        "measurements": _measurements(analysis, finding),
        "qualitative_evaluations": [hdsr.QualitativeEvaluation(concept(codes.TIER), concept(codes.TIERS[finding.tier]))],
    }
    region = _region(analysis, finding)
    group: Group
    if region is not None:
        group = hdsr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, geometric_purpose=concept(codes.CENTER), **common
        )
    else:
        group = hdsr.MeasurementsAndQualitativeEvaluations(source_images=_sources(analysis, finding), **common)
    advice = analysis.advice.get(finding.label)
    if advice:
        group[0].ContentSequence.append(text(codes.COMMENT, advice))
    return group


def _region(analysis: Analysis, finding: Finding) -> hdsr.ImageRegion | hdsr.ImageRegion3D | None:
    """A point in the frame of reference where there is one, else a point on the image."""
    if finding.position_mm is not None and analysis.frame_of_reference_uid:
        point = np.array([finding.position_mm], dtype=np.float64)
        return hdsr.ImageRegion3D("POINT", point, analysis.frame_of_reference_uid)
    if finding.image_point is not None and finding.sop_instance_uid:
        image = image_reference(analysis, finding)
        source = hdsr.SourceImageForRegion(*image)
        return hdsr.ImageRegion("POINT", np.array([finding.image_point], dtype=np.float64), source_image=source)
    return None


def _sources(analysis: Analysis, finding: Finding) -> list[hdsr.SourceImageForMeasurementGroup] | None:
    if not finding.sop_instance_uid:
        return None
    return [hdsr.SourceImageForMeasurementGroup(*image_reference(analysis, finding))]


def _measurements(analysis: Analysis, finding: Finding) -> list[hdsr.Measurement]:
    values = list(finding.measurements)
    named = {measurement.name for measurement in values}
    if finding.diameter_mm is not None and codes.DIAMETER not in named:
        values.insert(0, Measurement(codes.DIAMETER, finding.diameter_mm, codes.MILLIMETER))
    if finding.probability is not None:
        values.insert(0, Measurement(codes.PROBABILITY, finding.probability, codes.NO_UNITS))
    if finding.score is not None:
        values.insert(0, Measurement(codes.SCORE, finding.score, codes.NO_UNITS))
    images = [hdsr.SourceImageForMeasurement(*image_reference(analysis, finding))] if finding.sop_instance_uid else None
    return [hdsr.Measurement(concept(value.name), rounded(value.value), concept(value.unit), referenced_images=images) for value in values]


def rounded(value: float) -> float:
    """Four decimals, or four digits from 1000 on: more would claim a precision that no model has, and DS takes 16 characters."""
    return float(f"{value:.4g}") if abs(value) >= 1000 else round(float(value), 4)


def _without_finding(analysis: Analysis) -> hdsr.MeasurementsAndQualitativeEvaluations:
    """TID 1501 without a region: what was looked for, or why nothing could be said."""
    prediction = analysis.prediction
    group = hdsr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(analysis, 0),
        algorithm_id=_algorithm(analysis),
        qualitative_evaluations=[hdsr.QualitativeEvaluation(concept(codes.SUMMARY), concept(SUMMARIES[prediction.outcome]))],
    )
    items = group[0].ContentSequence
    if prediction.outcome is Outcome.NO_FINDING:
        items.append(text(codes.LOOKED_FOR, prediction.looked_for or "what its card names"))
        items.append(text(codes.COMMENT, EXCLUDES_NOTHING))
    else:
        items.append(text(codes.REASON, prediction.reason or "no reason was given"))
    return group


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
    container.ContentSequence = items
    return container


def _classes(analysis: Analysis) -> str:
    ordered = sorted(analysis.prediction.probabilities.items())
    return ", ".join(f"{name} {probability:.4f}" for name, probability in ordered)


def _coded(name: Code, value: Code) -> hdsr.CodeContentItem:
    return hdsr.CodeContentItem(concept(name), concept(value), RelationshipTypeValues.CONTAINS)


def referenced(findings: Sequence[Finding]) -> tuple[str, ...]:
    """SOP Instance UIDs of the images that findings are seen on, each once, in their order."""
    return tuple(dict.fromkeys(finding.sop_instance_uid for finding in findings if finding.sop_instance_uid))
