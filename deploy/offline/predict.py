"""Runs a model on files without any service: reads the units and predicts in batches."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import NodeError, NotAnalysable
from core.records import Prediction
from core.states import Outcome, UnitKind
from deploy.offline.units import GatheredUnits, Unit, gather_units
from deploy.offline.unreadable import unreadable
from models.card import ModelCard
from models.finite_prediction import require_finite_prediction
from models.runtime import Model

BATCH_SIZE = 16  # images: large enough to use all cores, small enough for a progress bar that moves


@dataclass(frozen=True, slots=True)
class UnitPrediction:
    """A unit and the prediction of the model for it."""

    unit: Unit
    prediction: Prediction


def units_for(card: ModelCard, paths: Sequence[Path]) -> GatheredUnits:
    """Return the units of ``paths``, grouped as the model takes them: by series or by image."""
    return gather_units(paths, kind=UnitKind(card.units[0]))


def predict_units(model: Model, units: Sequence[Unit], on_batch: Callable[[int], None] = lambda count: None) -> Iterator[UnitPrediction]:
    """Yield a prediction for each unit, in their order. A unit that cannot be read is ``not_analysed``, with the reason.

    ``on_batch`` is called after each batch with the number of its units.
    """
    size = BATCH_SIZE if model.card.unit == "image" else 1
    batches = [units[start : start + size] for start in range(0, len(units), size)]
    with ThreadPoolExecutor(1) as reader:  # the next batch is read while the model computes the present one
        next_batch = reader.submit(_read_batch, model.card, batches[0]) if batches else None
        for index, batch in enumerate(batches):
            assert next_batch is not None
            items = next_batch.result()
            if index + 1 < len(batches):
                next_batch = reader.submit(_read_batch, model.card, batches[index + 1])
            yield from _predictions(model, batch, items)
            on_batch(len(batch))


def _read_batch(card: ModelCard, units: Sequence[Unit]) -> list[Any]:
    return [_read_unit(card, unit) for unit in units]


def _read_unit(card: ModelCard, unit: Unit) -> Any:
    """Return the decoded unit, or the error that explains why there is none."""
    from imaging.photograph.read import read_photograph
    from models.series_reader import read_series

    try:
        if "series" in card.units and unit.instances:
            return read_series(unit.paths, card)
        if "image" in card.units:  # for a model of series, an image file is a slice and has to be grey
            return read_photograph(unit.paths[0], grey=card.grey == "accept" or ("series" in card.units and not unit.instances))
        return NotAnalysable("an image file is not a CT series", hint=f"{card.name} takes DICOM series")
    except (NodeError, OSError) as error:
        return _reason(error, unit)


def _predictions(model: Model, units: Sequence[Unit], items: Sequence[Any]) -> Iterator[UnitPrediction]:
    readable = [(unit, item) for unit, item in zip(units, items, strict=True) if not isinstance(item, NodeError)]
    predictions = iter(_predict_batch(model, readable))
    for unit, item in zip(units, items, strict=True):
        if isinstance(item, NodeError):
            yield UnitPrediction(unit, Prediction(Outcome.NOT_ANALYSED, reason=str(item)))
        else:
            yield UnitPrediction(unit, next(predictions))


def _predict_batch(model: Model, readable: Sequence[tuple[Unit, Any]]) -> list[Prediction]:
    """Predict a batch at once. If it fails, predict each item alone, so that only the failing one has no prediction."""
    if not readable:
        return []
    try:
        return [require_finite_prediction(one, model.card) for one in model.predict([item for _, item in readable])]
    except (NodeError, OSError) as error:  # the tiles of a slide are read now
        if len(readable) == 1:
            return [Prediction(Outcome.NOT_ANALYSED, reason=str(_reason(error, readable[0][0])))]
        return [prediction for one in readable for prediction in _predict_batch(model, [one])]


def _reason(error: NodeError | OSError, unit: Unit) -> NodeError:
    """Return the error that says why a unit has no prediction. Raises an OSError that is none of the system."""
    found = unreadable(error, unit.paths)
    if found is not None:
        return found
    if isinstance(error, OSError):
        raise error
    return error
