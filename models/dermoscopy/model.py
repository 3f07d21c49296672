"""The dermoscopy classifier behind the runtime's Model protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from core.records import HeatMap, ModelIdentity, Prediction
from imaging.masks import pack_heat_map
from imaging.photograph.read import Photograph
from models.batch_halving import in_halves
from models.calibration import softmax
from models.card import ModelCard
from models.dermoscopy.ensemble import Panel, Said, in_a_row, to_tensor, together
from models.dermoscopy.heat_map import grad_cam
from models.dermoscopy.patient import FACTS, Patient
from models.dermoscopy.postprocess import abstained, found, unfamiliar, unusable
from models.dermoscopy.preprocess import COMMON_PX, common_square, to_common_grid
from models.dermoscopy.quality import overexposed, poor, quality
from models.image_maps import on_square, one_piece, to_unit
from models.torch_threads import each

CPU_BATCH, CUDA_BATCH = 8, 32  # on the CPU each image is a pass of its own: enough to keep every core busy


@dataclass(frozen=True, slots=True)
class Looked:
    """What the networks gave: ``logits`` (N, C), ``distance`` (N,) from the training images, ``outline`` (N, 150, 150) logits."""

    logits: np.ndarray
    distance: np.ndarray
    outline: np.ndarray


class Model:
    """Photographs to predictions. On the CPU bit for bit the same, whatever else is in the batch."""

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card = card
        self.identity = identity
        self.device = device
        self.batch = CPU_BATCH if device == "cpu" else CUDA_BATCH
        self._views = int(card.preprocessing["views"])
        self._threads = int(card.preprocessing["cpu_threads"])
        if "members" not in card.network or "max_distance" not in card.thresholds:
            raise ModelError(f"{card.name} {card.version}: the card is of a version before 0.2.0", hint="this release runs 0.2.0 and later")
        panel = Panel(card.network, len(card.labels))
        try:
            panel.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error
        self._panel = panel.eval().requires_grad_(False).to(device)

    def warm(self) -> None:
        """One forward pass, so that the first image does not pay for set-up."""
        self.look(np.zeros((1, COMMON_PX, COMMON_PX, 3), np.uint8), np.zeros((1, FACTS), np.float32))

    def predict(self, items: Sequence[Photograph]) -> list[Prediction]:
        """One answer per photograph, in order: findings, or abstained with the reason."""
        prepared = each(lambda item: prepare(item, self.card.thresholds), items, self._threads)
        answers = [abstained(reason, self.card) for reason, _ in prepared]
        usable = [i for i, (reason, _) in enumerate(prepared) if not reason]
        if not usable:
            return answers
        squares = np.stack([prepared[i][1] for i in usable])
        looked = self.look(squares, np.stack([patient_of(items[i]).facts() for i in usable]))
        probabilities = softmax(looked.logits, self.card.temperature)
        for k, i in enumerate(usable):
            strange = unfamiliar(float(looked.distance[k]), self.card.thresholds)
            if strange:
                answers[i] = abstained(strange, self.card)
                continue
            mask = one_piece(looked.outline[k], items[i].rgb.shape[:2])
            answers[i] = found(self.card, probabilities[k], items[i], mask)
        return answers

    def look(self, squares: np.ndarray, facts: np.ndarray) -> Looked:
        """(N, 150, 150, 3) uint8 and (N, FACTS) float32 through the networks.

        On the CPU every image is for every network a pass of its own on a fixed number of threads, as many at once as there are cores:
        kernels are chosen by the shape of a batch, and an answer must not depend on its neighbours. On CUDA in batches, autocast to
        half precision.
        """
        size = 1 if self.device == "cpu" else CUDA_BATCH
        batches = [slice(start, start + size) for start in range(0, len(squares), size)]
        names = list(self._panel.sides)
        passes = [(name, squares[part], facts[part]) for part in batches for name in names]
        if self.device == "cpu":
            said = each(lambda one: self._ask(*one), passes, self._threads)
        else:
            with torch.autocast("cuda", dtype=torch.float16):
                said = [self._in_parts(*one) for one in passes]
        parts = [together(said[start : start + len(names)]) for start in range(0, len(said), len(names))]
        return Looked(*(torch.cat(values).float().cpu().numpy() for values in zip(*parts, strict=True)))

    def _in_parts(self, name: str, squares: np.ndarray, facts: np.ndarray) -> Said:
        """As ``_ask``, in as many passes as the card's memory asks for."""
        parts = in_halves(lambda part: self._ask(name, squares[part], facts[part]), len(squares))
        return parts[0] if len(parts) == 1 else in_a_row(parts)

    @torch.inference_mode()
    def _ask(self, name: str, squares: np.ndarray, facts: np.ndarray) -> Said:
        images, given = to_tensor(squares, self._panel.sides[name]).to(self.device), torch.from_numpy(facts).to(self.device)
        return self._panel.ask(name, images, given, self._views)

    def outline(self, image: Photograph) -> np.ndarray:
        """(Y, X) bool on the image's grid: the lesion, in one piece without holes; nothing outside the centre square."""
        looked = self.look(common_square(image.rgb)[None], patient_of(image).facts()[None])
        return one_piece(looked.outline[0], image.rgb.shape[:2])

    def explain(self, image: Photograph) -> np.ndarray:
        """(Y, X) float32 in 0..1 on the image's grid: the evidence for the model's answer (Grad-CAM), 0 outside the centre square.

        The mean over the members, each scaled to 1. All 0 where nothing speaks for the answer.
        """
        square, facts = common_square(image.rgb)[None], patient_of(image).facts()[None]
        label = int(self.look(square, facts).logits[0].argmax())
        given = torch.from_numpy(facts).to(self.device)

        def of(name: str) -> np.ndarray:
            images = to_tensor(square, self._panel.sides[name]).to(self.device)
            one = to_unit(grad_cam(self._panel.net(name), images, given, label).cpu().numpy())
            return on_square(one, (COMMON_PX, COMMON_PX))

        heat = np.sum(each(of, list(self._panel.sides), self._threads), axis=0)
        return to_unit(on_square(heat, image.rgb.shape[:2]))

    def evidence(self, item: Photograph, prediction: Prediction) -> HeatMap | None:
        """``explain`` as a record; None where nothing was answered."""
        if not prediction.probabilities:
            return None
        return pack_heat_map(self.explain(item)[None], meaning=f"evidence for {prediction.findings[0].label} (Grad-CAM)")


def prepare(image: Photograph, limits: Mapping[str, float]) -> tuple[str, np.ndarray]:
    """Why the image is not judged (or ""), and what the network sees of it, (150, 150, 3) uint8."""
    found = quality(np.asarray(to_common_grid(image.rgb)))
    # white first: a burnt-out photograph is grey and uniform as well
    reason = overexposed(found, limits) or unusable(image.rgb, limits) or poor(found, limits)
    return reason, common_square(image.rgb)


def patient_of(image: Photograph) -> Patient:
    """What the photograph's header says of the patient."""
    return Patient(image.age_years, image.sex, image.site)
