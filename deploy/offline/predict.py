"""`predict`: the model alone on files. Reads units, asks the model, and makes the rows of the table."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import NodeError, NotAnalysable
from core.records import Finding, Prediction
from core.states import Outcome, UnitKind
from deploy.offline.units import Gathered, Unit, gather
from models.calibration import tier
from models.card import ModelCard
from models.runtime import Model

BASE = ("path", "sop_instance_uid", "series_instance_uid", "label", "probability", "tier", "abstained", "reason")
DETECTION = ("x_mm", "y_mm", "z_mm", "diameter_mm", "score")
BATCH = 16  # images a time: enough to keep the cores busy, little enough for the progress bar to move


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said of one unit."""

    unit: Unit
    prediction: Prediction


def columns(card: ModelCard) -> list[str]:
    """Columns of the table for this model; the interface names them."""
    return [*BASE, *(f"p_{label.name}" for label in card.labels)] if card.task == "classify" else [*BASE, *DETECTION]


def units_for(card: ModelCard, paths: Sequence[Path]) -> Gathered:
    """The units of ``paths``, grouped as the model wants them."""
    return gather(paths, kind=UnitKind(card.units[0]))


def predict(model: Model, units: Sequence[Unit], done: Callable[[int], None] = lambda count: None) -> Iterator[Answer]:
    """Answers in the order of ``units``; what cannot be read is answered ``not_analysed`` with the reason."""
    size = BATCH if model.card.unit == "image" else 1
    batches = [units[start : start + size] for start in range(0, len(units), size)]
    with ThreadPoolExecutor(1) as reader:  # the next batch is read while the model is at work
        waiting = reader.submit(_read, model.card, batches[0]) if batches else None
        for index, batch in enumerate(batches):
            assert waiting is not None
            items = waiting.result()
            if index + 1 < len(batches):
                waiting = reader.submit(_read, model.card, batches[index + 1])
            yield from _answers(model, batch, items)
            done(len(batch))


def _read(card: ModelCard, units: Sequence[Unit]) -> list[Any]:
    return [_item(card, unit) for unit in units]


def _item(card: ModelCard, unit: Unit) -> Any:
    """A Photograph, a Volume, or the error that says why there is none."""
    from imaging.photograph.read import read_photograph
    from imaging.volume.volume import read_volume

    try:
        if "series" in card.units and unit.instances:
            return read_volume(unit.paths, tilted=card.tilt == "resample", derived=card.derived == "note")
        if "image" in card.units:  # of a card that takes series a picture is a slice, which is grey
            return read_photograph(unit.paths[0], grey="series" in card.units)
        return NotAnalysable("a picture file is no CT series", hint=f"{card.name} takes DICOM series")
    except NodeError as error:
        return error


def _answers(model: Model, units: Sequence[Unit], items: Sequence[Any]) -> Iterator[Answer]:
    good = [item for item in items if not isinstance(item, NodeError)]
    said = iter(_ask(model, good))
    for unit, item in zip(units, items, strict=True):
        if isinstance(item, NodeError):
            yield Answer(unit, Prediction(Outcome.NOT_ANALYSED, reason=str(item)))
        else:
            yield Answer(unit, next(said))


def _ask(model: Model, items: Sequence[Any]) -> list[Prediction]:
    """The batch at once; where one of it fails, each by itself, so that the others keep their answers."""
    if not items:
        return []
    try:
        return model.predict(items)
    except NodeError as error:
        if len(items) == 1:
            return [Prediction(Outcome.NOT_ANALYSED, reason=str(error))]
        return [answer for item in items for answer in _ask(model, [item])]


def rows(card: ModelCard, answer: Answer) -> list[dict[str, Any]]:
    """Table rows of one unit: one for a classifier, one per finding (at least one) for a detector."""
    prediction = answer.prediction
    common: dict[str, Any] = {
        "path": str(answer.unit.path),
        "sop_instance_uid": answer.unit.sop_instance_uid,
        "series_instance_uid": answer.unit.series_instance_uid,
        "label": "",
        "probability": "",
        "tier": "",
        "abstained": "true" if prediction.outcome is Outcome.ABSTAINED else "false",
        "reason": prediction.reason,
    }
    if card.task == "classify":
        share = {f"p_{label.name}": _number(prediction.probabilities.get(label.name)) for label in card.labels}
        said = _said(prediction.findings[0]) if prediction.findings else _without_finding(card, prediction)
        return [{**common, **said, **share}]
    if not prediction.findings:
        return [{**common, **dict.fromkeys(DETECTION, "")}]
    return [{**common, **_said(finding), **_place(finding)} for finding in prediction.findings]


def _said(finding: Finding) -> dict[str, Any]:
    return {"label": finding.label, "probability": _number(finding.probability), "tier": finding.tier.value}


def _without_finding(card: ModelCard, prediction: Prediction) -> dict[str, Any]:
    """A classifier that found nothing has still chosen a class, which is no finding; nothing where it abstained."""
    if prediction.outcome is not Outcome.NO_FINDING or not prediction.probabilities:
        return {}
    chosen = max(card.labels, key=lambda label: prediction.probabilities[label.name])
    malignant = sum(prediction.probabilities[label.name] for label in card.labels if label.malignant)
    value = prediction.probabilities[chosen.name]
    given = tier(value, card.tiers, malignant=chosen.malignant, malignant_probability=malignant)
    return {"label": chosen.name, "probability": _number(value), "tier": given.value}


def _place(finding: Finding) -> dict[str, Any]:
    """Place and size. Where nothing has calibrated the model, its score stands under both names: docs/decisions/0012."""
    x, y, z = finding.position_mm or (None, None, None)
    named = zip(DETECTION, (x, y, z, finding.diameter_mm, finding.score), strict=True)
    ordering = {} if finding.probability is not None else {"probability": _number(finding.score)}
    return ordering | {key: _number(value) for key, value in named}


def _number(value: float | None) -> float | str:
    return "" if value is None else round(value, 6)


def document(model: Model, answer: Answer) -> dict[str, Any]:
    """Everything of one unit, for ``--json``."""
    prediction, identity = answer.prediction, model.identity
    return {
        "path": str(answer.unit.path),
        "sop_instance_uid": answer.unit.sop_instance_uid,
        "series_instance_uid": answer.unit.series_instance_uid,
        "model": identity.name,
        "model_version": identity.version,
        "model_digest": identity.digest,
        "outcome": prediction.outcome.value,
        "abstained": prediction.outcome is Outcome.ABSTAINED,
        "reason": prediction.reason,
        "probabilities": dict(prediction.probabilities),
        "findings": [_finding(finding) for finding in prediction.findings],
        "looked_for": prediction.looked_for,
        "notes": list(prediction.notes),
    }


def _finding(finding: Finding) -> dict[str, Any]:
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
    }
