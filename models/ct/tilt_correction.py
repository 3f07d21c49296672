"""Corrects the tilt of a CT gantry around a model, for cards that allow it (``[input] tilt = "resample"``).

The model gets upright slices; its findings and heat maps are mapped back to the pixels of the images as they came.
"""

import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.records import HeatMap, ModelIdentity, Prediction
from imaging.volume.gantry_tilt import UprightVolume, finding_on_images, gantry_tilt_degrees, heat_map_on_images, make_upright
from imaging.volume.geometry import TILT_DEGREES
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.protocol import Model


class TiltCorrectedModel:
    """Wraps a model so that it also takes series of a tilted gantry; all other items pass unchanged."""

    def __init__(self, model: Model) -> None:
        self._model = model
        # The last tilted series, for its heat map. It ends with the series, and does not keep two volumes in memory until the next one.
        self._last: tuple[weakref.ref[NDArray[np.int16]], UprightVolume, Prediction] | None = None

    @property
    def card(self) -> ModelCard:
        """The wrapped model's card."""
        return self._model.card

    @property
    def identity(self) -> ModelIdentity:
        """The wrapped model's identity."""
        return self._model.identity

    @property
    def device(self) -> str:
        """The wrapped model's device."""
        return self._model.device

    @property
    def batch(self) -> int:
        """The wrapped model's batch size."""
        return self._model.batch

    def warm_up(self) -> None:
        """Warm up the wrapped model."""
        self._model.warm_up()

    def predict(self, items: Sequence[Any]) -> list[Prediction]:
        """As the wrapped model's, with points and masks on the images' own pixels."""
        self._last = None
        if not any(_is_tilted(item) for item in items):
            return self._model.predict(items)
        return [self._predict_tilted(item) if _is_tilted(item) else self._model.predict([item])[0] for item in items]

    def _predict_tilted(self, volume: Volume) -> Prediction:
        corrected = make_upright(volume)
        (prediction,) = self._model.predict([corrected.volume])
        self._last = weakref.ref(volume.hu, self._forget), corrected, prediction
        note = f"The gantry was tilted by {corrected.degrees:.1f} degrees: analysed on slices that were moved upright."
        findings = tuple(finding_on_images(finding, corrected, volume) for finding in prediction.findings)
        return replace(prediction, findings=findings, notes=(*prediction.notes, note))

    def _forget(self, hu: "weakref.ref[NDArray[np.int16]]") -> None:
        if self._last is not None and self._last[0] is hu:
            self._last = None

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """As the wrapped model's, on the grid of the images as they came. For a tilted series: of the last prediction."""
        if not _is_tilted(item):
            return self._model.heat_map(item, prediction)
        if self._last is None or self._last[0]() is not item.hu:
            self._predict_tilted(item)
        assert self._last is not None
        _, corrected, on_upright = self._last
        heat = self._model.heat_map(corrected.volume, on_upright)
        return None if heat is None else heat_map_on_images(heat, corrected, item)


def _is_tilted(item: Any) -> bool:
    return isinstance(item, Volume) and gantry_tilt_degrees(item) > TILT_DEGREES
