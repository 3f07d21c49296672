"""The dermoscopy classifier behind the runtime's Model protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from core.errors import ModelError
from core.records import HeatMap, ModelIdentity, Prediction
from imaging.masks import pack_heat_map
from imaging.photograph.read import Photograph
from models.batch_halves import run_in_halves
from models.card import ModelCard
from models.classifier.calibration import softmax
from models.classifier.heat_map import evidence_meaning, scale_to_unit
from models.classifier.predictions import abstention, label_index
from models.dermoscopy.acceptance import check_networks, check_photograph
from models.dermoscopy.ensemble import Ensemble, MemberOutput, Squares, concatenate_outputs
from models.dermoscopy.outline import outline_on_image, paste_centre_square
from models.dermoscopy.patient import FACTS, Patient
from models.dermoscopy.postprocess import lesion_prediction
from models.dermoscopy.preprocess import COMMON_PX, reduced_square
from models.finite_output import require_finite
from models.torch_threads import map_on_cores
from models.weights import load_weights

CPU_BATCH, CUDA_BATCH = 8, 32  # on the CPU each image is a pass of its own: enough images to keep every core busy


@dataclass(frozen=True, slots=True)
class EnsembleOutput:
    """``logits`` (N, C), ``distance`` (N,) from the training images, ``outline`` (N, 150, 150) logits."""

    logits: np.ndarray
    distance: np.ndarray
    outline: np.ndarray


class DermoscopyClassifier:
    """Photographs to predictions. On the CPU the result is bit for bit the same whatever else is in the batch."""

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card = card
        self.identity = identity
        self.device = device
        self.batch = CPU_BATCH if device == "cpu" else CUDA_BATCH
        self._views = int(card.preprocessing["views"])
        self._threads = int(card.preprocessing["cpu_threads"])
        self._most_px = int(card.preprocessing.get("most_px", COMMON_PX))  # of the centre square; cards before 0.5.0 have no finer grid
        if "members" not in card.network or "max_distance" not in card.thresholds:
            raise ModelError(f"{card.name} {card.version}: the card is of a version before 0.2.0", hint="this release runs 0.2.0 and later")
        ensemble = Ensemble(card.network, len(card.labels))
        load_weights(ensemble, weights, card)
        served = ensemble.prepare_to_serve().to(device)
        self._ensemble = served.run_on_cpu() if device == "cpu" else served

    def warm_up(self) -> None:
        """Run one forward pass, so that the first image does not wait for set-up."""
        self.run_networks(np.zeros((1, self._most_px, self._most_px, 3), np.uint8), np.zeros((1, FACTS), np.float32))

    def predict(self, items: Sequence[Photograph]) -> list[Prediction]:
        """One prediction per photograph, in order: findings, or abstained with the reason."""
        limits = self.card.thresholds
        prepared = map_on_cores(lambda item: (check_photograph(item.rgb, limits), self.square(item)), items, self._threads)
        answers = [abstention(self.card, reason) for reason, _ in prepared]
        usable = [i for i, (reason, _) in enumerate(prepared) if not reason]
        if not usable:
            return answers
        squares = [prepared[i][1] for i in usable]
        output = self.run_networks(squares, np.stack([patient_of(items[i]).facts() for i in usable]))
        probabilities = softmax(output.logits, self.card.temperature)
        for k, i in enumerate(usable):
            reason = check_networks(float(output.distance[k]), output.outline[k], limits)
            if reason:
                answers[i] = abstention(self.card, reason)
                continue
            mask = outline_on_image(output.outline[k], items[i].rgb.shape[:2])
            answers[i] = lesion_prediction(self.card, probabilities[k], items[i], mask)
        return answers

    def square(self, image: Photograph) -> np.ndarray:
        """What the networks see of an image: its centre square, reduced to the finest of their grids, never enlarged; (Y, Y, 3) uint8."""
        return reduced_square(image.rgb, self._most_px)

    def run_networks(self, squares: Squares, facts: np.ndarray) -> EnsembleOutput:
        """N squares, each (Y, Y, 3) uint8 of any size, and (N, FACTS) float32 through all networks.

        On the CPU every image is a pass of its own for every network on a fixed number of threads, as many passes at once as there are
        cores: torch chooses kernels by the shape of a batch, and an answer must not depend on the other images. On CUDA in batches,
        autocast to half precision.
        """
        size = 1 if self.device == "cpu" else CUDA_BATCH
        batches = [slice(start, start + size) for start in range(0, len(squares), size)]
        names = list(self._ensemble.sides)
        inputs = map_on_cores(lambda part: self._ensemble.inputs_of(squares[part]), batches, self._threads)
        passes = [(name, given[name], facts[part]) for part, given in zip(batches, inputs, strict=True) for name in names]
        if self.device == "cpu":
            outputs = map_on_cores(lambda one: self._run_member(*one), passes, self._threads)
        else:
            with torch.autocast("cuda", dtype=torch.float16):
                outputs = [self._run_member_in_parts(*one) for one in passes]
        parts = [self._ensemble.average(outputs[start : start + len(names)]) for start in range(0, len(outputs), len(names))]
        joined = [torch.cat(values).float().cpu() for values in zip(*parts, strict=True)]
        require_finite(f"{self.card.name} {self.card.version}: the networks'", *joined)
        return EnsembleOutput(*(values.numpy() for values in joined))

    def _run_member_in_parts(self, name: str, images: torch.Tensor, facts: np.ndarray) -> MemberOutput:
        """As ``_run_member``, in as many passes as the GPU's memory needs."""
        parts = run_in_halves(lambda part: self._run_member(name, images[part], facts[part]), len(images))
        return parts[0] if len(parts) == 1 else concatenate_outputs(parts)

    @torch.inference_mode()
    def _run_member(self, name: str, images: torch.Tensor, facts: np.ndarray) -> MemberOutput:
        return self._ensemble.run_member(name, images.to(self.device), torch.from_numpy(facts).to(self.device), self._views)

    def outline(self, image: Photograph) -> np.ndarray:
        """The lesion, (Y, X) bool on the image's grid: one component without holes; nothing outside the centre square."""
        output = self.run_networks([self.square(image)], patient_of(image).facts()[None])
        return outline_on_image(output.outline[0], image.rgb.shape[:2])

    def evidence_map(self, image: Photograph, answer: str = "") -> np.ndarray:
        """Evidence for the label ``answer`` (Grad-CAM), (Y, X) float32 in 0..1 on the image's grid; 0 outside the centre square.

        The weighted mean over the members, each scaled to 1. All 0 where nothing supports the answer. Without ``answer`` the networks
        are asked for it, which takes twice as long as the map.
        """
        squares, facts = [self.square(image)], patient_of(image).facts()[None]
        label = label_index(self.card, answer) if answer else int(self.run_networks(squares, facts).logits[0].argmax())
        inputs, facts_tensor = self._ensemble.inputs_of(squares), torch.from_numpy(facts).to(self.device)

        def member_map(name: str) -> np.ndarray:
            found = self._ensemble.evidence(name, inputs[name].to(self.device), facts_tensor, label)
            heat = scale_to_unit(found.cpu().numpy())
            return self._ensemble.weights[name] * paste_centre_square(heat, (COMMON_PX, COMMON_PX))

        heat = np.sum(map_on_cores(member_map, list(self._ensemble.sides), self._threads), axis=0)
        return scale_to_unit(paste_centre_square(heat, image.rgb.shape[:2]))

    def heat_map(self, item: Photograph, prediction: Prediction) -> HeatMap | None:
        """``evidence_map`` as a record; None where there was no answer."""
        if not prediction.probabilities:
            return None
        first = prediction.findings[0]
        return pack_heat_map(self.evidence_map(item, first.label)[None], meaning=evidence_meaning(first.code.meaning))


def patient_of(image: Photograph) -> Patient:
    """What the photograph's header says of the patient."""
    return Patient(image.age_years, image.sex, image.site)
