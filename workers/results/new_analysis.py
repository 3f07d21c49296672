"""Collects what the encoders need of a job, its model and the settings into one `Analysis`."""

from datetime import datetime
from uuid import UUID

from core.records import ModelIdentity, Prediction
from core.settings.settings import Settings
from db.jobs.job_records import ClaimedJob
from models.card import ModelCard
from workers.encode.analysis import Analysis
from workers.encode.source_images.source import ResultSource


def new_analysis(
    job: ClaimedJob, settings: Settings, installation: UUID, *, identity: ModelIdentity, prediction: Prediction, source: ResultSource,
    started_at: datetime, limits: tuple[str, ...], remarks: tuple[str, ...] = (),
) -> Analysis:  # fmt: skip
    """Return the analysis of ``job`` without heat map and without the decoded unit.

    Parameters
    ----------
    installation
        Id of this installation, from which UIDs are derived.
    started_at
        Start of the attempt, UTC.
    limits
        Known limits of the model, one sentence each.
    remarks
        What else a reader of this result has to know.
    """
    return Analysis(
        installation=installation,
        key=job.key,
        revision=job.revision,
        run=job.run,
        identity=identity,
        prediction=prediction,
        source=source,
        started_at=started_at,
        time_zone=settings.node.timezone,
        limits=limits,
        remarks=remarks,
        max_object_bytes=settings.worker.max_object_bytes,
    )


def describe_result(card: ModelCard, source: ResultSource) -> tuple[str, ...]:
    """Return what a reader has to know beside the notes of the prediction: the confidence tiers, and source elements left out."""
    high, review = card.tiers.high, card.tiers.review
    tiers = f"Confidence tiers of this model: high above {high:g}, review from {review:g} to {high:g}, uncertain below {review:g}."
    dropped = f"Not taken over, because their values are not valid or too long: {', '.join(source.dropped)}."
    return (tiers, *([dropped] if source.dropped else []))
