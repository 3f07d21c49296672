"""The correction of gantry tilt keeps nothing of a series in memory once the series is gone."""

import gc
import weakref
from collections.abc import Sequence
from typing import cast

import numpy as np

from core.records import HeatMap, Prediction
from core.states import Outcome
from imaging.masks import pack_heat_map
from imaging.volume.volume import Volume
from models.ct.tilt_correction import TiltCorrectedModel
from models.protocol import Model


class Recording:
    """A model without findings, which remembers the volumes that it was given, without keeping them."""

    def __init__(self) -> None:
        self.given: list[weakref.ref[np.ndarray]] = []

    def predict(self, items: Sequence[Volume]) -> list[Prediction]:
        self.given += [weakref.ref(item.hu) for item in items]
        return [Prediction(Outcome.NO_FINDING)] * len(items)

    def heat_map(self, item: Volume, _: Prediction) -> HeatMap:
        return pack_heat_map(np.zeros(item.hu.shape, np.float32), meaning="test")


def tilted() -> Volume:
    """Ten slices of a gantry that is tilted by 20 degrees."""
    affine = np.eye(4)
    affine[1, 2], affine[2, 2] = np.sin(np.radians(20)), np.cos(np.radians(20))
    uids = tuple(f"1.2.{number}" for number in range(10))
    return Volume(np.zeros((10, 12, 14), np.int16), affine, (1.0, 1.0, 1.0), uids, (1,) * 10, "1.2", ())


def test_the_upright_copy_of_a_series_ends_with_the_series() -> None:
    inner = Recording()
    model, series = TiltCorrectedModel(cast(Model, inner)), tilted()
    (prediction,) = model.predict([series])
    assert "gantry was tilted by 20.0 degrees" in prediction.notes[0]
    assert model.heat_map(series, prediction) is not None
    assert len(inner.given) == 1, "the heat map needs no second pass"
    (upright,) = inner.given
    assert upright() is not None
    del series
    gc.collect()
    assert upright() is None
