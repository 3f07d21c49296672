"""Passes prepared units through the model. A pass that fails is repeated in halves, down to single units, whose errors are their own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import GeometryError, NotAnalysable, PixelError
from core.records import Prediction
from core.states import Outcome
from models.finite_prediction import require_finite_prediction
from models.runtime import Model
from workers.attempt.prepare import PreparedUnit

log = structlog.get_logger()


def predict_units(model: Model, units: Sequence[PreparedUnit]) -> list[Prediction | Exception]:
    """Return one prediction, or the error, for each unit, in their order. Units that cannot be analysed are not given to the model."""
    items = [unit.item for unit in units if unit.item is not None]
    predictions = iter(predict_in_halves(model, items))
    return [Prediction(Outcome.NOT_ANALYSED, reason=unit.reason) if unit.item is None else next(predictions) for unit in units]


def predict_in_halves(model: Model, items: Sequence[Any]) -> list[Prediction | Exception]:
    """Predict ``items`` in one pass; where it raises or does not fit into memory, in one pass for each half, recursively.

    An item that the model declines (NotAnalysable, GeometryError, PixelError) becomes a prediction "not analysed" with the reason.
    """
    if not items:
        return []
    try:
        predictions = [require_finite_prediction(one, model.card) for one in model.predict(items)]
        return [_with_reading_notes(item, prediction) for item, prediction in zip(items, predictions, strict=True)]
    except SoftTimeLimitExceeded:
        raise
    except (NotAnalysable, GeometryError, PixelError) as error:
        if len(items) == 1:
            return [Prediction(Outcome.NOT_ANALYSED, reason=str(error))]
    except Exception as error:
        if len(items) == 1:
            return [error]
        log.warning("pass_failed", count=len(items), exception=type(error).__name__, hint="it is repeated in halves")
    middle = len(items) // 2
    return [*predict_in_halves(model, items[:middle]), *predict_in_halves(model, items[middle:])]


def _with_reading_notes(item: Any, prediction: Prediction) -> Prediction:
    """Add the notes on what was tolerated while the unit was read."""
    return replace(prediction, notes=(*prediction.notes, *(note for note in item.notes if note not in prediction.notes)))
