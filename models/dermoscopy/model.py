"""The dermoscopy classifier behind the runtime's Model protocol."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from core.errors import ModelError
from core.records import ModelIdentity, Prediction
from imaging.photograph import Photograph
from models.calibrate import softmax
from models.card import ModelCard
from models.dermoscopy.network import build, dihedral
from models.dermoscopy.postprocess import abstained, found, unusable
from models.dermoscopy.preprocess import INPUT_PX, prepare
from models.threads import cpu_threads

CUDA_BATCH = 32


class Model:
    """Photographs to predictions. On the CPU bit for bit the same, whatever else is in the batch."""

    def __init__(self, card: ModelCard, identity: ModelIdentity, weights: Path, device: str) -> None:
        self.card = card
        self.identity = identity
        self.device = device
        self._views = int(card.preprocessing["views"])
        self._threads = int(card.preprocessing["cpu_threads"])
        net = build(card.network, len(card.labels))
        try:
            net.load_state_dict(load_file(weights))
        except RuntimeError as error:
            raise ModelError(f"{card.name}: the weights do not fit the network of the card", hint=str(error).splitlines()[0]) from error
        self._net = net.eval().to(device)

    def warm(self) -> None:
        """One forward pass, so that the first image does not pay for set-up."""
        self.logits(np.zeros((1, INPUT_PX, INPUT_PX, 3), np.uint8))

    def predict(self, items: Sequence[Photograph]) -> list[Prediction]:
        """One answer per photograph, in order: findings, or abstained with the reason."""
        reasons = [unusable(item.rgb, self.card.thresholds) for item in items]
        usable = [i for i, reason in enumerate(reasons) if not reason]
        answers = [abstained(reason, self.card) for reason in reasons]
        if usable:
            inputs = np.stack([prepare(items[i].rgb) for i in usable])
            probabilities = softmax(self.logits(inputs), self.card.temperature)
            for i, row in zip(usable, probabilities, strict=True):
                answers[i] = found(self.card, row, items[i].sop_instance_uid, items[i].notes)
        return answers

    @torch.inference_mode()
    def logits(self, inputs: np.ndarray) -> np.ndarray:
        """(N, 128, 128, 3) uint8 to (N, C) float32, the mean over the mirrored and turned views.

        On the CPU one image at a time on a fixed number of threads: kernels are chosen by the shape of a batch, and
        an answer must not depend on its neighbours. On CUDA in batches, autocast to half precision.
        """
        if self.device == "cpu":
            with cpu_threads(self._threads):
                return np.stack([self._forward(image[None]) for image in inputs])[:, 0]
        with torch.autocast("cuda", dtype=torch.float16):
            starts = range(0, len(inputs), CUDA_BATCH)
            return np.concatenate([self._forward(inputs[start : start + CUDA_BATCH]) for start in starts])

    def _forward(self, inputs: np.ndarray) -> np.ndarray:
        images = torch.from_numpy(inputs.copy()).permute(0, 3, 1, 2).to(self.device)
        views = torch.cat(dihedral(images)[: self._views])
        logits: torch.Tensor = self._net(views).float().view(self._views, len(inputs), -1)
        return np.asarray(logits.mean(0).cpu().numpy())
