"""Compares the findings of a result with the earlier results that were chosen for its job."""

from dataclasses import replace

from core.policy.priors.comparison import compare_findings, has_places
from core.policy.priors.growth import MeasuringError
from core.records import Prediction
from core.states import Outcome
from db.jobs.job_records import ClaimedJob
from models.card import ModelCard
from models.lung_nodule_ct.measuring_error import VOLUME_ERROR
from workers.encode.analysis import EarlierResults

MEASURING_ERRORS = {"lung_nodule_ct": VOLUME_ERROR}
"""Of the models that measure volumes, by name. Changes that other models measure are given and not judged."""


def compare_prediction(job: ClaimedJob, card: ModelCard, prediction: Prediction) -> tuple[Prediction, EarlierResults | None]:
    """Return the prediction with the comparison of each finding, and what the report says of the earlier results.

    None where the route asks for no comparison, or the unit was not analysed. Findings are matched to those of the newest result only, and
    only where the model gives their places in the organ.
    """
    if job.prior_rule is None or prediction.outcome not in (Outcome.FINDINGS, Outcome.NO_FINDING):
        return prediction, None
    error: MeasuringError | None = MEASURING_ERRORS.get(card.name)
    matched = bool(job.priors) and (error is not None or has_places(prediction.findings))
    if matched:
        findings = compare_findings(
            prediction.findings, job.priors[0], pipeline_digest=job.pipeline_digest, error=error, slice_thickness_mm=job.slice_thickness_mm
        )
        prediction = replace(prediction, findings=findings)
    return prediction, EarlierResults(job.prior_rule, job.priors, matched, left_out=job.left_out)
