"""The histology classifier behind the runtime's Model protocol: a slice picture or a chest CT series to one prediction."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.records import HeatMap, ModelIdentity, Prediction
from core.states import Outcome
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.classifier.acceptance import check_distance, mean_chroma
from models.classifier.heat_map import evidence_meaning
from models.classifier.predictions import abstention, by_label, label_index
from models.finite_output import require_finite
from models.lung_histology_ct import slice_selection
from models.lung_histology_ct.network import FoldEnsemble
from models.lung_histology_ct.not_a_slice import check_slice
from models.lung_histology_ct.postprocess import histology_prediction
from models.lung_histology_ct.preprocess import PreparedSlice, prepare_slice, window_hu
from models.lung_histology_ct.probabilities import Calibration, probabilities
from models.lung_histology_ct.slice_evidence import picture_heat_map, series_heat_map
from models.torch_threads import cpu_threads
from models.weights import load_weights

THREADS = 1  # fixed, so that the same slice gives the same bits


@dataclass(frozen=True, slots=True)
class SliceOutput:
    """``logits`` (N, 4), see probabilities.py; ``distance`` (N,) from the training images."""

    logits: np.ndarray
    distance: np.ndarray


class HistologyClassifier:
    """Slice pictures and CT series to predictions by all networks of the ensemble, or by one of them (`single_member`)."""

    batch = 1  # items are computed one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._member: int | None = None
        self._ensemble = FoldEnsemble(card.network)
        load_weights(self._ensemble, weights, card)
        self._ensemble.eval().requires_grad_(False).to(device)

    def single_member(self, member: int) -> "HistologyClassifier":
        """The same classifier with one network, which was trained without the images of fold ``member``."""
        alone = copy.copy(self)  # the networks are shared: they are never changed after they are loaded
        alone._member = member
        return alone

    @property
    def calibration(self) -> Calibration:
        """Temperatures and shares of the classes, from the card."""
        return Calibration(self.card.temperature, float(self.card.network["presence_temperature"]), tuple(self.card.network["prior"]))

    def warm_up(self) -> None:
        """Run one forward pass, so that the first item does not wait for set-up."""
        self.run_networks(np.zeros((1, 2, 96, 128), np.uint8))

    def predict(self, items: Sequence[Photograph | Volume]) -> list[Prediction]:
        """One prediction per slice picture or series, in order."""
        return [self._predict_series(item)[0] if isinstance(item, Volume) else self._predict_picture(item) for item in items]

    @torch.inference_mode()
    def run_networks(self, planes: np.ndarray) -> SliceOutput:
        """(N, 2, 96, 128) uint8 through the networks, one slice at a time: an answer must not depend on the other slices."""
        nets = self._ensemble.chosen(self._member)
        logits, distance = np.zeros((len(planes), 4)), np.zeros(len(planes))
        with cpu_threads(THREADS):
            for i, one in enumerate(planes):
                tensor = torch.from_numpy(one[None]).to(self.device)
                for net in nets:
                    presence, kind = net.maps(tensor)
                    logits[i] += net.classify(presence[-1], kind[-1])[0].double().cpu().numpy() / len(nets)
                    distance[i] += float(net.distance(kind)[0]) / len(nets)
        require_finite(f"{self.card.name} {self.card.version}: the networks'", torch.from_numpy(logits), torch.from_numpy(distance))
        return SliceOutput(logits, distance)

    def prepare_picture(self, picture: Photograph) -> PreparedSlice | str:
        """A slice picture as the networks see it, or why it is none."""
        chroma = mean_chroma(picture.rgb)
        if chroma > self.card.thresholds["max_chroma"]:
            return f"a grey CT slice is needed, the picture is in colour (chroma {chroma:.1f})"
        grey = np.round(picture.rgb.mean(axis=2)).astype(np.uint8)
        return check_slice(grey, self.card.thresholds) or prepare_slice(grey, self.card.thresholds)

    def _predict_picture(self, item: Photograph) -> Prediction:
        prepared = self.prepare_picture(item)
        if isinstance(prepared, str):
            return abstention(self.card, prepared, notes=item.notes)
        output = self.run_networks(prepared.planes[None])
        reason = check_distance(float(output.distance[0]), self.card.thresholds, image="the slice", like="those")
        if reason:
            return abstention(self.card, reason, notes=item.notes)
        p = probabilities(output.logits, self.calibration)[0]
        return histology_prediction(self.card, p, item.notes, sop_instance_uid=item.sop_instance_uid)

    def _predict_series(self, volume: Volume) -> tuple[Prediction, dict[int, PreparedSlice]]:
        """The prediction, and the slices that it was computed from, by their index.

        The mean of the calibrated probabilities of all slices within the limit of distance. The model abstains where fewer than
        ``min_familiar`` of the chosen slices are within the limit, or where the answer's class is the most probable one in fewer than
        ``min_agreement`` of them.
        """
        limits = self.card.thresholds
        reason = slice_selection.check_series(volume, limits)
        chosen = range(0) if reason else slice_selection.choose_slices(volume, limits)
        if not chosen:
            reason = reason or "no lung field was found"
            return Prediction(Outcome.NOT_ANALYSED, reason=reason, looked_for=self.card.looked_for, notes=volume.notes), {}
        prepared = {z: prepare_slice(window_hu(volume.hu[z]), limits) for z in chosen}
        usable = {z: one for z, one in prepared.items() if isinstance(one, PreparedSlice)}
        planes = [one.planes for one in usable.values()]
        output = self.run_networks(np.stack(planes)) if usable else SliceOutput(np.zeros((0, 4)), np.zeros(0))
        near = output.distance <= limits["max_distance"]
        analysed = {z: one for (z, one), is_near in zip(usable.items(), near, strict=True) if is_near}
        if len(analysed) < limits["min_familiar"] * len(chosen):
            needed = 100 * limits["min_familiar"]
            reason = f"{len(analysed)} of {len(chosen)} slices are like those of the training, {needed:.0f} % are needed"
            return abstention(self.card, reason, notes=volume.notes), {}
        by_slice = probabilities(output.logits[near], self.calibration)
        mean = by_slice.mean(axis=0)
        agreement = float((by_slice.argmax(axis=1) == mean.argmax()).mean())
        notes = (
            f"Mean over {len(analysed)} slices of the lung field; {100 * agreement:.0f} % of them agree with the most probable class.",
            *volume.notes,
        )
        if agreement < limits["min_agreement"]:
            needed = 100 * limits["min_agreement"]
            reason = f"the slices disagree: {100 * agreement:.0f} % have the same most probable class, {needed:.0f} % are needed"
            return abstention(self.card, reason, by_label(self.card, mean), notes), analysed
        best = list(analysed)[int(by_slice[:, mean.argmax()].argmax())]
        uid, frame = volume.sop_instance_uids[best], volume.frame_numbers[best]
        return histology_prediction(self.card, mean, notes, sop_instance_uid=uid, frame=frame), analysed

    def heat_map(self, item: Photograph | Volume, prediction: Prediction) -> HeatMap | None:
        """Grad-CAM for the most probable class, on the analysed slices; None where there was no answer."""
        if not prediction.probabilities or prediction.outcome is Outcome.ABSTAINED:
            return None
        name = max(prediction.probabilities, key=lambda name: prediction.probabilities[name])
        label = label_index(self.card, name)
        meaning = evidence_meaning(self.card.labels[label].code.meaning)
        nets = self._ensemble.chosen(self._member)
        with cpu_threads(THREADS):
            if isinstance(item, Volume):
                analysed = self._predict_series(item)[1]
                return series_heat_map(nets, analysed, label, self.calibration, self.device, item.hu.shape, meaning)
            prepared = self.prepare_picture(item)
            if isinstance(prepared, str):
                return None
            return picture_heat_map(nets, prepared, label, self.calibration, self.device, meaning)
