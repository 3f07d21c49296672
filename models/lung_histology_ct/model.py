"""``lung_histology_ct`` as the runtime loads it: a slice picture or a chest CT series in, one answer out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from core.records import HeatMap, ModelIdentity, Prediction
from core.states import Outcome
from imaging.photograph.read import Photograph
from imaging.volume.volume import Volume
from models.card import ModelCard
from models.lung_histology_ct import heat_map, slice_selection
from models.lung_histology_ct.network import Members
from models.lung_histology_ct.not_a_slice import strange
from models.lung_histology_ct.postprocess import abstained, answer
from models.lung_histology_ct.preprocess import Prepared, drawn, prepare
from models.lung_histology_ct.probabilities import Calibration, probabilities
from models.torch_threads import cpu_threads

THREADS = 1  # fixed, so that the same slice gives the same bits


@dataclass(frozen=True, slots=True)
class Looked:
    """What the networks gave: ``logits`` (N, 4), see probabilities.py; ``distance`` (N,) from the training images."""

    logits: np.ndarray
    distance: np.ndarray


class Model:
    """Loaded weights of one card on one device; ``member`` asks one of the networks alone (cross-validation), else all."""

    batch = 1  # one after the other

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str, *, member: int | None = None) -> None:
        self.card, self.identity, self.device = card, identity, device
        self._weights, self._member = weights, member
        self._members = Members(card.network)
        try:
            self._members.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error
        self._members.eval().requires_grad_(False).to(device)

    def alone(self, member: int) -> "Model":
        """The same with one network, the one that never saw the images of fold ``member``."""
        return Model(self.card, self.identity, self._weights, self.device, member=member)

    @property
    def calibration(self) -> Calibration:
        """Temperatures and shares, from the card."""
        return Calibration(self.card.temperature, float(self.card.network["presence_temperature"]), tuple(self.card.network["prior"]))

    def warm(self) -> None:
        """One forward pass, so that the first item does not pay for set-up."""
        self.look(np.zeros((1, 2, 96, 128), np.uint8))

    def predict(self, items: Sequence[Photograph | Volume]) -> list[Prediction]:
        """One answer per slice picture or series, in order."""
        return [self._series(item)[0] if isinstance(item, Volume) else self._picture(item) for item in items]

    @torch.inference_mode()
    def look(self, planes: np.ndarray) -> Looked:
        """(N, 2, 96, 128) uint8 through the networks, one at a time: an answer must not depend on its neighbours."""
        nets = self._members.chosen(self._member)
        logits, distance = np.zeros((len(planes), 4)), np.zeros(len(planes))
        with cpu_threads(THREADS):
            for i, one in enumerate(planes):
                tensor = torch.from_numpy(one[None]).to(self.device)
                for net in nets:
                    presence, kind = net.maps(tensor)
                    logits[i] += net.judge(presence[-1], kind[-1])[0].double().cpu().numpy() / len(nets)
                    distance[i] += float(net.distance(kind)[0]) / len(nets)
        return Looked(logits, distance)

    def prepared(self, picture: Photograph) -> Prepared | str:
        """A slice picture as the networks see it, or why it is none."""
        spread = float((picture.rgb.max(axis=2).astype(np.int16) - picture.rgb.min(axis=2)).mean())
        if spread > self.card.thresholds["max_chroma"]:
            return f"a grey CT slice is needed, the picture is in colour (chroma {spread:.1f})"
        grey = np.round(picture.rgb.mean(axis=2)).astype(np.uint8)
        return strange(grey, self.card.thresholds) or prepare(grey, self.card.thresholds)

    def _picture(self, item: Photograph) -> Prediction:
        prepared = self.prepared(item)
        if isinstance(prepared, str):
            return abstained(self.card, prepared, notes=item.notes)
        looked = self.look(prepared.planes[None])
        strange = self._unfamiliar(float(looked.distance[0]))
        if strange:
            return abstained(self.card, strange, notes=item.notes)
        p = probabilities(looked.logits, self.calibration)[0]
        return answer(self.card, p, item.notes, sop_instance_uid=item.sop_instance_uid)

    def _series(self, volume: Volume) -> tuple[Prediction, dict[int, Prepared]]:
        """The answer, and the slices that it was made of.

        The mean of the calibrated probabilities of all familiar slices; abstained where fewer than ``min_familiar`` of those chosen
        are familiar, or where fewer than ``min_agreement`` of them have the answer's class as their most probable one.
        """
        limits = self.card.thresholds
        reason = slice_selection.unfit(volume, limits)
        chosen = range(0) if reason else slice_selection.choose(volume, limits)
        if not chosen:
            why = reason or "no lung field was found"
            return Prediction(Outcome.NOT_ANALYSED, reason=why, looked_for=self.card.looked_for, notes=volume.notes), {}
        made = {z: prepare(drawn(volume.hu[z]), limits) for z in chosen}
        usable = {z: one for z, one in made.items() if isinstance(one, Prepared)}
        looked = self.look(np.stack([one.planes for one in usable.values()])) if usable else Looked(np.zeros((0, 4)), np.zeros(0))
        known = looked.distance <= limits["max_distance"]
        taken = {z: one for (z, one), good in zip(usable.items(), known, strict=True) if good}
        if len(taken) < limits["min_familiar"] * len(chosen):
            return abstained(
                self.card,
                f"{len(taken)} of {len(chosen)} slices are like those of the training, {100 * limits['min_familiar']:.0f} % are needed",
                notes=volume.notes,
            ), {}
        each = probabilities(looked.logits[known], self.calibration)
        mean = each.mean(axis=0)
        agreement = float((each.argmax(axis=1) == mean.argmax()).mean())
        notes = (
            f"Mean over {len(taken)} slices of the lung field; {100 * agreement:.0f} % of them agree with the most probable class.",
            *volume.notes,
        )
        if agreement < limits["min_agreement"]:
            every = {label.name: float(value) for label, value in zip(self.card.labels, mean, strict=True)}
            words = f"the slices disagree: {100 * agreement:.0f} % have the same most probable class, "
            return abstained(self.card, f"{words}{100 * limits['min_agreement']:.0f} % are needed", every, notes), taken
        best = list(taken)[int(each[:, mean.argmax()].argmax())]
        uid, frame = volume.sop_instance_uids[best], volume.frame_numbers[best]
        return answer(self.card, mean, notes, sop_instance_uid=uid, frame=frame), taken

    def evidence(self, item: Photograph | Volume, prediction: Prediction) -> HeatMap | None:
        """Grad-CAM for the most probable class, on the slices that were judged; None where nothing was answered."""
        if not prediction.probabilities or prediction.outcome is Outcome.ABSTAINED:
            return None
        names = [label.name for label in self.card.labels]
        label = names.index(max(prediction.probabilities, key=lambda name: prediction.probabilities[name]))
        nets = self._members.chosen(self._member)
        meaning = f"evidence for {names[label].replace('_', ' ')} (Grad-CAM)"
        with cpu_threads(THREADS):
            if isinstance(item, Volume):
                taken = self._series(item)[1]
                return heat_map.of_series(nets, taken, label, self.calibration, self.device, item.hu.shape, meaning)
            prepared = self.prepared(item)
            if isinstance(prepared, str):
                return None
            return heat_map.of_picture(nets, prepared, label, self.calibration, self.device, meaning)

    def _unfamiliar(self, distance: float) -> str:
        limit = self.card.thresholds["max_distance"]
        if distance <= limit:
            return ""
        return f"the slice is unlike those of the training (distance {distance:.1f}, at most {limit:.1f} is judged)"
