"""Makes the heat map of a result within its time budget; a result without one is reported all the same."""

from dataclasses import replace

import structlog
from celery.exceptions import SoftTimeLimitExceeded

from core.errors import NonFiniteOutput
from core.logs import scrub
from core.records import HeatMap, Prediction
from imaging.decoded_unit import DecodedUnit
from models.runtime import Model
from workers.results.time_budget import OutOfTime, limited

log = structlog.get_logger()


def make_heat_map(model: Model, item: DecodedUnit, prediction: Prediction, budget_s: float) -> tuple[HeatMap | None, Prediction]:
    """Return the map of the evidence for an answer, and the prediction.

    Where the map fails or takes longer than ``budget_s`` seconds, None is returned and the prediction has a note with the reason.

    Raises
    ------
    NonFiniteOutput
        Values of the map are no numbers: what the network computed on this device cannot be trusted, and nothing of it is reported.
    """
    try:
        with limited(budget_s):
            return model.heat_map(item, prediction), prediction
    except (SoftTimeLimitExceeded, NonFiniteOutput):
        raise
    except OutOfTime:
        reason = f"it took longer than {budget_s:g} s"
    except Exception as error:
        log.error("heat_map_failed", model=model.card.name, error=f"{type(error).__name__}: {scrub(str(error))}")
        reason = "making it failed"
    return None, replace(prediction, notes=(*prediction.notes, f"Without a map of the evidence: {reason}."))
