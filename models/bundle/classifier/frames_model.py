"""An imported 2D classifier on the frames of OCT and ultrasound: classes for each frame, and for the series by the card's rule."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import NotAnalysable
from core.records import HeatMap, ModelIdentity, Prediction
from imaging.frames.frame_series import FrameSeries
from imaging.masks import pack_heat_map
from models.bundle.classifier.aggregate import Values, aggregate, aggregation_rule, best_part
from models.bundle.classifier.parts import PartsClassifier
from models.bundle.classifier.predictions import class_prediction
from models.card import ModelCard
from models.classifier.heat_map import evidence_meaning
from models.classifier.predictions import label_index


class FrameClassifier(PartsClassifier):
    """Series of frames to predictions. A finding names the frame in which its class is highest."""

    part = "frame"

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        super().__init__(card, identity, weights, device)
        self.batch = 1

    def _classify(self, item: FrameSeries) -> Prediction:
        most = int(self.card.preprocessing["most"])
        if len(item.frames) > most:
            raise NotAnalysable(f"the series has {len(item.frames)} frames, and the model's card allows {most} (preprocessing.most)")
        values = self.score_parts(map(item.rgb, range(len(item.frames))), len(item.frames))
        tolerated = dict.fromkeys((*item.notes, *(note for file in item.files for note in file.notes)))
        prediction = class_prediction(self.card, aggregate(self.card, values), notes=(self._describe(values), *tolerated))
        return replace(prediction, findings=tuple(replace(one, **self._place(item, values, one.label)) for one in prediction.findings))

    def _place(self, item: FrameSeries, values: Values, label: str) -> dict[str, Any]:
        uid, frame = item.place(best_part(values, label_index(self.card, label)))
        return {"sop_instance_uid": uid, "frame": frame}

    def _describe(self, values: Values) -> str:
        rule = aggregation_rule(int(self.card.preprocessing["top"]), self.part)
        return f"The values of the classes are {rule}, of {len(values)} frames."

    def heat_map(self, item: Any, prediction: Prediction) -> HeatMap | None:
        """Evidence for the first finding (Grad-CAM) on the frame that it names; None where a single image has none either."""
        if not self._layer or not prediction.findings:
            return None
        first = prediction.findings[0]
        index = next(i for i in range(len(item.frames)) if item.place(i) == (first.sop_instance_uid, first.frame))
        values = self._evidence(self._picture(item.rgb(index)), first.label)
        meaning = evidence_meaning(f"{first.code.meaning}, on frame {first.frame}")
        return pack_heat_map(values.T[None], origin=(float(index), 0.0, 0.0), meaning=meaning)
