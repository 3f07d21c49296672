"""The start of a comparison of sites: a network whose last layer is zero, and the logits of held-out images after a training."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from models.card import ModelCard, read_card
from models.card_writer import render_card
from models.dermoscopy.ensemble import Ensemble
from models.torch_threads import cpu_threads
from training.dermoscopy.finish import MODEL_FOLDER
from training.dermoscopy.ham10000.data import LesionImages

BATCH = 32


def write_clear_start(member: str, out: Path) -> Path:
    """Write the shipped network ``member`` to the folder ``out``, without facts of the patient and outline, its last layer all zeros."""
    shipped = read_card(MODEL_FOLDER / "card.toml")
    table = {**shipped.network["members"][member], "facts": 0, "outline": 0, "familiar": False}
    network = {**shipped.network, "members": {member: table}}
    tensors = load_file(MODEL_FOLDER / shipped.weights)
    kept = {name: tensors[name] for name in Ensemble(network, len(shipped.labels)).state_dict()}
    kept |= {name: torch.zeros_like(value) for name, value in kept.items() if ".trunk.fc." in name}
    out.mkdir(parents=True, exist_ok=True)
    path = out / shipped.weights
    save_file({name: value.contiguous() for name, value in kept.items()}, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card: ModelCard = replace(shipped, version="start", network=network, weights_sha256=digest, metrics={})
    (out / "card.toml").write_text(render_card(card), encoding="utf-8")
    return out


class HeldOutFeatures:
    """The features of held-out images before the last layer, (N, width) float32, computed once: only that layer is trained."""

    def __init__(self, start: Path, images: LesionImages, chosen: np.ndarray) -> None:
        card = read_card(start / "card.toml")
        (self.member,) = card.network["members"]
        ensemble = Ensemble(card.network, len(card.labels))
        ensemble.load_state_dict(load_file(start / card.weights))
        net = ensemble.prepare_to_serve().member(self.member)
        parts = []
        with cpu_threads(1), torch.inference_mode():
            for first in range(0, len(chosen), BATCH):
                batch = ensemble.input_of(self.member, [images.pixels[i, 0] for i in chosen[first : first + BATCH]])
                parts.append(torch.flatten(net.trunk.avgpool(net.maps(batch)[-1]), 1))
        self.features = torch.cat(parts).numpy()

    def logits(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """(N, classes) float32 logits with the last layer ``tensors``."""
        (weight,) = (value for name, value in tensors.items() if name.endswith(".weight"))
        (bias,) = (value for name, value in tensors.items() if name.endswith(".bias"))
        found: np.ndarray = self.features @ weight.T + bias
        return found


class HeldOutLogits:
    """The logits of held-out images where every layer is trained: the whole network is run each time."""

    def __init__(self, start: Path, images: LesionImages, chosen: np.ndarray) -> None:
        self.start, self.card = start, read_card(start / "card.toml")
        (self.member,) = self.card.network["members"]
        empty = Ensemble(self.card.network, len(self.card.labels))
        squares = [images.pixels[i, 0] for i in chosen]
        self.batches = [empty.input_of(self.member, squares[first : first + BATCH]) for first in range(0, len(squares), BATCH)]

    def logits(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
        """(N, classes) float32 logits of the start with ``tensors`` in place of its own."""
        ensemble = Ensemble(self.card.network, len(self.card.labels))
        ensemble.load_state_dict(load_file(self.start / self.card.weights))
        ensemble.load_state_dict({name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}, strict=False)
        net = ensemble.prepare_to_serve().member(self.member)
        with cpu_threads(1), torch.inference_mode():
            found: np.ndarray = torch.cat([net(batch) for batch in self.batches]).numpy()
        return found
