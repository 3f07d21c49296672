"""Alerts in the words of the operator: what is wrong and where, without the names that the webhook and the metrics use."""

from typing import Protocol

from core.policy.back_pressure import PAUSE_REASONS
from db.receive.backlog import PAUSED

ALERTS = {
    PAUSED: "Receiving is paused",
    "destination.away": "A destination does not answer",
    "backlog": "Jobs wait longer than the limit",
    "disk.low": "Little disk space is left",
    "role.silent": "A role does not run",
    "units.without_result": "Series or images ended without a job",
    "units.unreadable": "Series or images wait: their files are missing or cannot be read",
    "series.unrouted": "No route takes the series of a source",
    "audit.anchor": "Anchor of the audit trail",
    "model.acceptance": "Clinicians accept too few findings of a model",
    "model.drift": "Inputs or scores of a model have drifted",
}
"""Kind of an alert -> what is wrong; the subject follows behind a colon."""

SUBJECTS = {
    **{(PAUSED, reason): words for reason, words in PAUSE_REASONS.items()},
    ("units.without_result", "moved"): "their instances came again in another series",
    ("units.without_result", "unreadable"): "the header cannot be read",
    ("audit.anchor", "problem"): "it does not fit, or cannot be written",
    ("audit.anchor", "old"): "the last one is too old",
}
"""Subjects that are words of the database; others are names of the configuration."""


class AlertLike(Protocol):
    """An alert of the database or of the API."""

    @property
    def kind(self) -> str:
        """The condition."""

    @property
    def subject(self) -> str:
        """What it concerns; may be empty."""


def alert_words(alert: AlertLike) -> str:
    """Return what is wrong and where, as ``A destination does not answer: pacs``; a kind that is not known as it is."""
    words, subject = ALERTS.get(alert.kind, alert.kind), SUBJECTS.get((alert.kind, alert.subject), alert.subject)
    return f"{words}: {subject}" if subject else words
