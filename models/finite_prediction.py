"""Refuses a prediction with a value that is no number. The last check, whatever the model: torch is not imported."""

import math
from collections.abc import Iterator

from core.errors import NonFiniteOutput
from core.records import Finding, Prediction
from models.card import ModelCard

# Weights that were damaged before their import cause such values, and half precision on CUDA where values are above 65,504.
HINT = "run it with worker.device = cpu, which computes in single precision; if that fails too, its weights are damaged"


def require_finite_prediction(prediction: Prediction, card: ModelCard) -> Prediction:
    """Return the prediction. Raises NonFiniteOutput where a probability, a score, a place or a measured value is NaN or infinite."""
    numbers = [*prediction.probabilities.values(), *(value for finding in prediction.findings for value in _numbers(finding))]
    if not all(map(math.isfinite, numbers)):
        raise NonFiniteOutput(f"{card.name} {card.version}: the prediction holds values that are no numbers", hint=HINT)
    return prediction


def _numbers(finding: Finding) -> Iterator[float]:
    yield from (value for value in (finding.probability, finding.score, finding.diameter_mm) if value is not None)
    yield from finding.position_mm or ()
    yield from finding.image_point or ()
    yield from (measurement.value for measurement in finding.measurements)
