"""The measurement groups of a report, one a finding (TID 1411, 1410 or 1501 of PS3.16).

Everything is passed in; highdicom would draw tracking UIDs at random where none is given.
"""

from typing import Any

import highdicom.sr as hdsr

from core import codes
from core.records import Finding, Measurement
from core.states import Outcome
from workers.encode import regions
from workers.encode.analysis import Analysis
from workers.encode.library import concept, image_reference, text
from workers.encode.tracking import tracking_id, tracking_uid

Group = (
    hdsr.VolumetricROIMeasurementsAndQualitativeEvaluations
    | hdsr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hdsr.MeasurementsAndQualitativeEvaluations
)
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


def _algorithm(analysis: Analysis) -> hdsr.AlgorithmIdentification:
    """TID 4019: which model, which version, and the digest over weights, card and processing."""
    identity = analysis.identity
    parameters = [f"pipeline sha256 {identity.digest}"]
    return hdsr.AlgorithmIdentification(identity.name, identity.version, parameters)


def _tracking(analysis: Analysis, number: int) -> hdsr.TrackingIdentifier:
    """TID 4108: the same on retry, another for every finding and revision."""
    return hdsr.TrackingIdentifier(uid=tracking_uid(analysis, number), identifier=tracking_id(analysis, number))


def finding_group(analysis: Analysis, finding: Finding, number: int) -> Group:
    """TID 1411 on its segment, TID 1410 on its segment or point, else TID 1501 on its image."""
    common: dict[str, Any] = {
        "tracking_identifier": _tracking(analysis, number),
        "finding_type": concept(finding.code),
        "algorithm_id": _algorithm(analysis),
        "finding_sites": regions.sites(analysis, finding),
        "measurements": _measurements(analysis, finding),
        "qualitative_evaluations": [hdsr.QualitativeEvaluation(concept(codes.TIER), concept(codes.TIERS[finding.tier]))],
    }
    group = _placed(analysis, finding, number, common)
    advice = analysis.advice.get(finding.label)
    if advice:
        group[0].ContentSequence.append(text(codes.COMMENT, advice))
    return group


def _placed(analysis: Analysis, finding: Finding, number: int, common: dict[str, Any]) -> Group:
    segment = regions.segment(analysis, finding, number)
    if isinstance(segment, hdsr.ReferencedSegment):
        group: Group = hdsr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
    elif segment is not None:
        group = hdsr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
    else:
        region = regions.point(analysis, finding)
        if region is None:
            return hdsr.MeasurementsAndQualitativeEvaluations(source_images=_sources(analysis, finding), **common)
        return hdsr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, geometric_purpose=concept(codes.CENTER), **common
        )
    centre = regions.centre(analysis, finding)
    if centre is not None:
        group[0].ContentSequence.append(centre)
    return group


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


def group_without_finding(analysis: Analysis) -> hdsr.MeasurementsAndQualitativeEvaluations:
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
