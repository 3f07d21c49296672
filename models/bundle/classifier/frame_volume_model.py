"""An imported 3D classifier on an OCT volume or an ultrasound loop as one block of columns, rows and frames."""

from typing import Any

import numpy as np
import numpy.typing as npt

from core.errors import NotAnalysable
from core.records import HeatMap, Prediction
from imaging.frames.frame_series import FrameSeries
from imaging.masks import pack_heat_map
from models.bundle.classifier.model import BundleClassifier
from models.bundle.classifier.predictions import class_prediction
from models.classifier.heat_map import evidence_meaning
from models.ct.isotropic_grid import ResamplingGrid, resample


class FrameVolumeClassifier(BundleClassifier):
    """Volumes of frames to predictions. Axes: X along the columns, Y along the rows, Z along the frames, as stored."""

    def _classify(self, item: FrameSeries) -> Prediction:
        values = self._class_values(self._prepare(self._array(item)))[0]
        tolerated = dict.fromkeys((*item.notes, *(note for file in item.files for note in file.notes)))
        return class_prediction(self.card, values, notes=tuple(tolerated))

    def _array(self, item: Any) -> npt.NDArray[np.float32]:
        """(1, X, Y, Z), resampled to the card's voxel size where it states one."""
        volume = item.grey_volume().astype(np.float32)
        if self.card.preprocessing["pixdim_mm"]:
            volume = resample(volume, self._frame_grid(item, volume.shape))
        return np.ascontiguousarray(volume.transpose(2, 1, 0)[None], np.float32)

    def _frame_grid(self, item: FrameSeries, shape: tuple[int, ...]) -> ResamplingGrid:
        pixdim = self.card.preprocessing["pixdim_mm"]
        if not pixdim:
            return ResamplingGrid((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (shape[0], shape[1], shape[2]))
        if item.spacing_mm is None:
            raise NotAnalysable(
                "the model needs the distances of frames, rows and columns in mm, and the header does not state all of them"
            )
        z, y, x = (wanted / have for wanted, have in zip(reversed(pixdim), item.spacing_mm, strict=True))
        sizes = [max(1, int(np.floor((n - 1) / step)) + 1) for n, step in zip(shape, (z, y, x), strict=True)]
        return ResamplingGrid((0.0, 0.0, 0.0), (z, y, x), (sizes[0], sizes[1], sizes[2]))

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """Evidence for the first finding (Grad-CAM) in the whole volume; None where there is no finding or no feature map."""
        if not self._layer or not prediction.findings:
            return None
        first, array = prediction.findings[0], self._array(item)
        spec = item.files[0].spec
        grid = self._frame_grid(item, (len(item.frames), spec.rows, spec.columns))
        values = self._evidence(array, first.label)
        return pack_heat_map(values.transpose(2, 1, 0), step=grid.step, meaning=evidence_meaning(first.code.meaning))
