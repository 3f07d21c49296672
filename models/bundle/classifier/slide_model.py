"""An imported 2D classifier on the tiles of a whole slide: classes for each tile, for the slide by the card's rule, and a heat map."""

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from core.counted import counted
from core.records import HeatMap, ModelIdentity, Prediction
from imaging.masks import pack_heat_map
from imaging.slide.slide import Slide
from models.bundle.classifier.aggregate import Values, aggregate, aggregation_rule, best_part
from models.bundle.classifier.parts import PartsClassifier
from models.bundle.classifier.predictions import class_prediction
from models.bundle.classifier.tile_grid import TileGrid, make_grid
from models.card import ModelCard
from models.classifier.predictions import label_index


class SlideClassifier(PartsClassifier):
    """Whole slides to predictions. A finding names the tile in which its class is highest."""

    part = "tile"

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        super().__init__(card, identity, weights, device)
        self.batch = 1
        self._last: tuple[weakref.ref[np.ndarray], Values] | None = None  # by the overview: a slide is not kept in memory

    def _classify(self, item: Slide) -> Prediction:
        grid, values = self._tile_values(item)
        notes = dict.fromkeys((self._describe(grid), *item.notes, *grid.level.notes))  # of the tiles too, which are decoded now
        prediction = class_prediction(self.card, aggregate(self.card, values), notes=tuple(notes))
        return replace(prediction, findings=tuple(replace(one, **self._place(grid, values, one.label)) for one in prediction.findings))

    def _tile_values(self, slide: Slide) -> tuple[TileGrid, Values]:
        """The grid and the (T, C) class values of its tiles; those of the last slide are kept for its heat map."""
        grid = make_grid(slide, self.card)
        if self._last is None or self._last[0]() is not slide.overview:
            self._last = None
            values = self.score_parts(map(grid.picture, range(len(grid.tissue))), len(grid.tissue))
            self._last = weakref.ref(slide.overview), values
        return grid, self._last[1]

    def _place(self, grid: TileGrid, values: Values, label: str) -> dict[str, Any]:
        column, row = grid.centre(best_part(values, label_index(self.card, label)))
        return {"sop_instance_uid": grid.level.instance_at(row, column), "image_point": (column, row)}

    def _describe(self, grid: TileGrid) -> str:
        rule = aggregation_rule(int(self.card.preprocessing["top"]), self.part)
        glass = int(np.prod(grid.shape)) - len(grid.tissue) - grid.not_stored
        there = (
            f"The values of the classes are {rule}, of {len(grid.tissue)} tiles of {grid.size} pixels of "
            f"{float(self.card.preprocessing['pixel_um']):g} µm, read from the level of {grid.level.pixel_um:.3g} µm; "
            f"{glass} tiles with less tissue than {float(self.card.preprocessing['least_tissue']):.0%} were left out."
        )
        if not grid.not_stored:
            return there
        return f"{there} Not analysed: {counted(grid.not_stored, 'tile')} with tissue in the overview, of which this level stores nothing."

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """The value of the first finding's class in each tile, on the slide's overview; None without a finding."""
        if not prediction.findings:
            return None
        first = prediction.findings[0]
        grid, values = self._tile_values(item)
        plane = np.zeros(grid.shape, np.float32)
        plane[grid.tissue[:, 0], grid.tissue[:, 1]] = values[:, label_index(self.card, first.label)]
        step = [grid.side * scale for scale in item.overview_scale(grid.level)]
        origin = 0.0, step[0] / 2 - 0.5, step[1] / 2 - 0.5
        what = "probability" if self.card.network["calibrated"] else "score"
        meaning = f"{what} of: {first.code.meaning}, in each tile"
        return pack_heat_map(plane[None], origin=origin, step=(1.0, step[0], step[1]), meaning=meaning)
