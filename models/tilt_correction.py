"""A model behind the correction of a gantry's tilt, for cards that allow it (``[input] tilt = "resample"``).

The model sees upright slices; what it answers is on the images as they came, whose pixels everything else names.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.records import HeatMap, ModelIdentity, Prediction
from imaging.volume.gantry_tilt import UprightVolume, finding_on_images, gantry_tilt_degrees, heat_map_on_images, make_upright
from imaging.volume.geometry import TILT_DEGREES
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.protocol import Model


class Uprighted:
    """``model`` for series of a tilted gantry too; all others pass as they are."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._last: tuple[Volume, UprightVolume, Prediction] | None = None

    @property
    def card(self) -> ModelCard:
        return self._model.card

    @property
    def identity(self) -> ModelIdentity:
        return self._model.identity

    @property
    def device(self) -> str:
        return self._model.device

    @property
    def batch(self) -> int:
        return self._model.batch

    def warm(self) -> None:
        self._model.warm()

    def predict(self, items: Sequence[Any]) -> list[Prediction]:
        """As the model's own, with points and masks on the images' own pixels."""
        self._last = None
        if not any(_tilted(item) for item in items):
            return self._model.predict(items)
        return [self._moved(item) if _tilted(item) else self._model.predict([item])[0] for item in items]

    def _moved(self, volume: Volume) -> Prediction:
        on = make_upright(volume)
        (said,) = self._model.predict([on.volume])
        self._last = volume, on, said
        note = f"The gantry was tilted by {on.degrees:.1f} degrees: analysed on slices that were moved upright."
        return replace(said, findings=tuple(finding_on_images(one, on, volume) for one in said.findings), notes=(*said.notes, note))

    def evidence(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """As the model's own, over the images as they came. For a tilted series: of the last prediction."""
        if not _tilted(item):
            return self._model.evidence(item, prediction)
        if self._last is None or self._last[0] is not item:
            self._moved(item)
        assert self._last is not None
        _, on, said = self._last
        heat = self._model.evidence(on.volume, said)
        return None if heat is None else heat_map_on_images(heat, on, item)


def _tilted(item: Any) -> bool:
    return isinstance(item, Volume) and gantry_tilt_degrees(item) > TILT_DEGREES
