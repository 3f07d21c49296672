"""The measurement groups of a report, one a finding (TID 1411, 1410 or 1501 of PS3.16).

Everything is passed in; highdicom would draw tracking UIDs at random where none is given.
"""

from typing import Any

import highdicom.sr as hdsr
from pydicom.dataset import Dataset

from core import codes
from core.records import Finding, Measurement
from core.states import Outcome
from workers.encode import regions
from workers.encode.analysis import Analysis
from workers.encode.library import concept, image_reference, text
from workers.encode.tracking import tracking_id, tracking_uid
from workers.encode.words import headline

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


def finding_groups(analysis: Analysis, finding: Finding, number: int) -> list[Group]:
    """What is said of a finding: TID 1410 on its point, and on its segment TID 1411 (of a volume) or 1410; else TID 1501 on its image.

    Point and segment are two groups with one Tracking UID, because a group takes one region: how sure goes with the point, the
    other numbers go with the segment. Without a segment there is one group.
    """
    segment, region = regions.segment(analysis, finding, number), regions.point(analysis, finding)
    sure, others = _sure(analysis, finding), _others(analysis, finding)
    groups: list[Group] = []
    if region is not None:
        common = _common(analysis, finding, number, sure if segment is not None else sure + others)
        groups.append(
            hdsr.PlanarROIMeasurementsAndQualitativeEvaluations(
                referenced_region=region, geometric_purpose=concept(codes.CENTER), **common
            )
        )
        items = groups[0][0].ContentSequence
        if sure:
            _infer_from_point(next(item for item in items if item.ValueType == "NUM"), analysis, finding)
        centre = regions.centre(analysis, finding)
        if centre is not None:
            items.append(centre)
    if segment is not None:
        common = _common(analysis, finding, number, others if groups else sure + others)
        if isinstance(segment, hdsr.ReferencedSegment):
            groups.append(hdsr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common))
        else:
            groups.append(hdsr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common))
    if not groups:
        common = _common(analysis, finding, number, sure + others)
        groups.append(hdsr.MeasurementsAndQualitativeEvaluations(source_images=_sources(analysis, finding), **common))
    # Viewers show the comment as the finding's title (OHIF, docs/viewers.md): what and how sure first, then the advice.
    said = f"{headline(finding)}. {analysis.advice.get(finding.label, '')}".rstrip()
    groups[0][0].ContentSequence.append(text(codes.COMMENT, said))
    return groups


def _common(analysis: Analysis, finding: Finding, number: int, measurements: list[hdsr.Measurement]) -> dict[str, Any]:
    judged = [(codes.TIER, codes.TIERS[finding.tier]), *((each.name, each.value) for each in finding.evaluations)]
    return {
        "tracking_identifier": _tracking(analysis, number),
        "finding_type": concept(finding.code),
        "algorithm_id": _algorithm(analysis),
        "finding_sites": regions.sites(analysis, finding),
        "measurements": measurements or None,
        "qualitative_evaluations": [hdsr.QualitativeEvaluation(concept(name), concept(value)) for name, value in judged],
    }


def _sources(analysis: Analysis, finding: Finding) -> list[hdsr.SourceImageForMeasurementGroup] | None:
    if not finding.sop_instance_uid:
        return None
    return [hdsr.SourceImageForMeasurementGroup(*image_reference(analysis, finding))]


def _sure(analysis: Analysis, finding: Finding) -> list[hdsr.Measurement]:
    """Probability and score."""
    named = ((codes.SCORE, finding.score), (codes.PROBABILITY, finding.probability))
    of = _of_image(analysis, finding)
    return [hdsr.Measurement(concept(name), rounded(value), concept(codes.NO_UNITS), **of) for name, value in named if value is not None]


def _infer_from_point(number: Dataset, analysis: Analysis, finding: Finding) -> None:
    """TID 300 with TID 320: coordinates in the place of the image. OHIF lists a group only where its first number has its own.

    highdicom's templates take none inside TID 1410, which includes TID 300 as it is.
    """
    point = regions.coordinates(analysis, finding)
    if point is not None:
        number.ContentSequence = hdsr.ContentSequence([point])


def _others(analysis: Analysis, finding: Finding) -> list[hdsr.Measurement]:
    values = list(finding.measurements)
    named = {measurement.name for measurement in values}
    if finding.diameter_mm is not None and codes.DIAMETER not in named:
        values.insert(0, Measurement(codes.DIAMETER, finding.diameter_mm, codes.MILLIMETER))
    of = _of_image(analysis, finding)
    return [hdsr.Measurement(concept(value.name), rounded(value.value), concept(value.unit), **of) for value in values]


def _of_image(analysis: Analysis, finding: Finding) -> dict[str, Any]:
    if not finding.sop_instance_uid:
        return {}
    return {"referenced_images": [hdsr.SourceImageForMeasurement(*image_reference(analysis, finding))]}


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
