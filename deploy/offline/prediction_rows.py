"""The rows of ``predict``: the CSV table, and everything of one unit for ``--json``."""

from typing import Any

from core.records import Finding, Prediction
from core.states import Outcome
from deploy.offline.predict import UnitPrediction
from models.card import ModelCard
from models.classifier.tiers import confidence_tier
from models.runtime import Model

BASE_COLUMNS = ("path", "sop_instance_uid", "series_instance_uid", "label", "probability", "tier", "abstained", "reason")
DETECTION_COLUMNS = ("x_mm", "y_mm", "z_mm", "diameter_mm", "score")


def table_columns(card: ModelCard) -> list[str]:
    """Return the columns of the table for a model."""
    classes = [f"p_{label.name}" for label in card.labels]
    return [*BASE_COLUMNS, *(classes if card.task == "classify" else DETECTION_COLUMNS)]


def table_rows(card: ModelCard, result: UnitPrediction) -> list[dict[str, Any]]:
    """Return the table rows of one unit: one for a classifier, one per finding (at least one) for a detector."""
    prediction = result.prediction
    common: dict[str, Any] = {
        "path": str(result.unit.path),
        "sop_instance_uid": result.unit.sop_instance_uid,
        "series_instance_uid": result.unit.series_instance_uid,
        "label": "",
        "probability": "",
        "tier": "",
        "abstained": "true" if prediction.outcome is Outcome.ABSTAINED else "false",
        "reason": prediction.reason,
    }
    if card.task == "classify":
        probabilities = {f"p_{label.name}": _number(prediction.probabilities.get(label.name)) for label in card.labels}
        label = _label(prediction.findings[0]) if prediction.findings else _label_without_finding(card, prediction)
        return [{**common, **label, **probabilities}]
    if not prediction.findings:
        return [{**common, **dict.fromkeys(DETECTION_COLUMNS, "")}]
    return [{**common, **_label(finding), **_position(finding)} for finding in prediction.findings]


def _label(finding: Finding) -> dict[str, Any]:
    return {"label": finding.label, "probability": _number(finding.probability), "tier": finding.tier.value}


def _label_without_finding(card: ModelCard, prediction: Prediction) -> dict[str, Any]:
    """Return the most probable class of a classifier that reports no finding; nothing where it abstained."""
    if prediction.outcome is not Outcome.NO_FINDING or not prediction.probabilities:
        return {}
    chosen = max(card.labels, key=lambda label: prediction.probabilities[label.name])
    malignant = sum(prediction.probabilities[label.name] for label in card.labels if label.malignant)
    value = prediction.probabilities[chosen.name]
    confidence = confidence_tier(value, card.tiers, malignant=chosen.malignant, malignant_probability=malignant)
    return {"label": chosen.name, "probability": _number(value), "tier": confidence.value}


def _position(finding: Finding) -> dict[str, Any]:
    """Return position and size. The score of a model that is not calibrated is in both columns: docs/decisions/0012."""
    x, y, z = finding.position_mm or (None, None, None)
    values = zip(DETECTION_COLUMNS, (x, y, z, finding.diameter_mm, finding.score), strict=True)
    score_as_probability = {} if finding.probability is not None else {"probability": _number(finding.score)}
    return score_as_probability | {key: _number(value) for key, value in values}


def _number(value: float | None) -> float | str:
    return "" if value is None else round(value, 6)


def json_document(model: Model, result: UnitPrediction) -> dict[str, Any]:
    """Return everything that is known of one unit, for ``--json``."""
    prediction, identity = result.prediction, model.identity
    return {
        "path": str(result.unit.path),
        "sop_instance_uid": result.unit.sop_instance_uid,
        "series_instance_uid": result.unit.series_instance_uid,
        "model": identity.name,
        "model_version": identity.version,
        "model_digest": identity.digest,
        "outcome": prediction.outcome.value,
        "abstained": prediction.outcome is Outcome.ABSTAINED,
        "reason": prediction.reason,
        "probabilities": dict(prediction.probabilities),
        "findings": [_finding_document(finding) for finding in prediction.findings],
        "looked_for": prediction.looked_for,
        "notes": list(prediction.notes),
    }


def _finding_document(finding: Finding) -> dict[str, Any]:
    return {
        "label": finding.label,
        "code": {"value": finding.code.value, "scheme": finding.code.scheme, "meaning": finding.code.meaning},
        "probability": finding.probability,
        "score": finding.score,
        "tier": finding.tier.value,
        "position_mm": finding.position_mm,
        "diameter_mm": finding.diameter_mm,
        "sop_instance_uid": finding.sop_instance_uid,
        "frame": finding.frame,
        "image_point": finding.image_point,
        "measurements": [{"name": m.name.meaning, "value": m.value, "unit": m.unit.value} for m in finding.measurements],
        "site": None if finding.site is None else finding.site.meaning,
        "zone": None if finding.zone is None else finding.zone.meaning,
        "side": None if finding.side is None else finding.side.meaning,
        "evaluations": [{"name": each.name.meaning, "value": each.value.meaning} for each in finding.evaluations],
    }
