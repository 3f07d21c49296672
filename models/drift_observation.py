"""The numbers kept of a unit and its prediction to detect drift; none of them identifies a patient. numpy only."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.policy.drift import DriftObservation, count_by_bin
from core.records import Prediction
from core.states import Outcome
from imaging.decoded_unit import DecodedUnit
from imaging.photograph.read import Photograph
from imaging.slide.slide import Slide
from imaging.volume.volume import Volume

ANSWERED = (Outcome.FINDINGS, Outcome.NO_FINDING)


def observe(item: DecodedUnit | None, prediction: Prediction) -> tuple[DriftObservation, ...]:
    """Observations of the input (None: it could not be prepared) and of the prediction; scores only where there was an answer."""
    found = _picture(item.rgb) if isinstance(item, Photograph) else _volume(item) if isinstance(item, Volume) else []
    if isinstance(item, Slide):
        found = _picture(item.overview)
    answered = prediction.outcome in ANSWERED
    found.append(DriftObservation("outcome", 0.0 if answered else 1.0))
    if answered:
        found += [DriftObservation(f"probability:{label}", float(value)) for label, value in prediction.probabilities.items()]
        if not prediction.probabilities:
            found.append(DriftObservation("findings", float(len(prediction.findings))))
            found += [DriftObservation("score", finding.score) for finding in prediction.findings if finding.score is not None]
    return tuple(found)


def reference_counts(units: Iterable[tuple[DecodedUnit | None, Prediction]]) -> dict[str, list[int]]:
    """Counts by bin over many units, as a card keeps them under ``reference``."""
    return count_by_bin([observation for item, prediction in units for observation in observe(item, prediction)])


def _picture(picture: NDArray[np.uint8]) -> list[DriftObservation]:
    rows, columns = picture.shape[:2]
    rgb = picture[:: max(1, rows // 128), :: max(1, columns // 128)].astype(np.float32)
    grey: Any = rgb.mean(axis=2)
    redness = rgb[..., 0].mean() - rgb[..., 1:].mean()
    return [
        DriftObservation("brightness", float(grey.mean())),
        DriftObservation("contrast", float(grey.std())),
        DriftObservation("redness", float(redness)),
    ]


def _volume(item: Volume) -> list[DriftObservation]:
    hu = item.hu[:: max(1, item.hu.shape[0] // 64), ::4, ::4].astype(np.float32)
    return [
        DriftObservation("mean_hu", float(hu.mean())),
        DriftObservation("spread_hu", float(hu.std())),
        DriftObservation("slice_distance_mm", item.spacing_mm[0]),
        DriftObservation("slices", float(item.hu.shape[0])),
    ]
