"""Both stages together: a volume to a heat map, and the heat map's regions to scored candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from models.ct.isotropic_grid import Spacing
from models.ct.lung_field import LungField
from models.lung_nodule_ct import network
from models.lung_nodule_ct import second_stage as lung_nodule_ct_second_stage
from models.lung_nodule_ct.candidates import Candidate, candidates
from models.lung_nodule_ct.heat_map import Heat, heat_in

FIRST, SECOND = "first.", "second."
SETTINGS: Mapping[str, Any] = {**network.DEFAULT, "second": dict(lung_nodule_ct_second_stage.DEFAULT)}


def join(first: Path, second_stage: Path, target: Path) -> Path:
    """The weights of both stages in one file, told apart by their prefix."""
    tensors = {FIRST + k: v for k, v in load_file(first).items()} | {SECOND + k: v for k, v in load_file(second_stage).items()}
    save_file(tensors, target)
    return target


class Detector:
    """The two networks of one file of weights on one device, ready to answer."""

    def __init__(self, weights: Path, settings: Mapping[str, Any], device: str = "cpu") -> None:
        tensors = load_file(weights)
        self.device = device
        self._first = _ready(network.build(settings), tensors, FIRST, device)
        self._second = _ready(lung_nodule_ct_second_stage.build(settings["second"]), tensors, SECOND, device)

    def warm(self) -> None:
        """One forward pass of each, so that the first series does not pay for it."""
        with torch.inference_mode():
            self._first(torch.zeros(1, 1, 32, 32, 32, device=self.device))
            self._second(
                torch.zeros(
                    1,
                    1,
                    lung_nodule_ct_second_stage.LOOK,
                    lung_nodule_ct_second_stage.LOOK,
                    lung_nodule_ct_second_stage.LOOK,
                    device=self.device,
                )
            )

    def heat(self, lungs: LungField, hu: npt.NDArray[np.int16], spacing_mm: Spacing, tick: Callable[[], None] | None = None) -> Heat:
        """The first stage's map in the lung field."""
        return heat_in(lungs, self._first, hu, spacing_mm, self.device, tick)

    def looks(self, heat: Heat, thresholds: Mapping[str, float]) -> list[tuple[Candidate, float]]:
        """Every region of the first stage with what the second stage says of it."""
        found = candidates(heat, thresholds)
        return list(
            zip(found, lung_nodule_ct_second_stage.scores(self._second, heat.image, [c.place for c in found], self.device), strict=True)
        )

    def candidates(self, heat: Heat, thresholds: Mapping[str, float]) -> list[Candidate]:
        """Scored by both stages, those of at least ``thresholds["score"]``, best first."""
        return together(self.looks(heat, thresholds), thresholds["second_weight"], thresholds["score"])


def together(looks: Sequence[tuple[Candidate, float]], weight: float, least: float) -> list[Candidate]:
    """One score of two, their geometric mean with the second stage weighted by ``weight``; at least ``least``, best first."""
    scored = [replace(c, score=float(c.score ** (1 - weight) * look**weight)) for c, look in looks]
    return sorted((c for c in scored if c.score >= least), key=lambda c: (-c.score, c.centre))


def _ready(module: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str, device: str) -> nn.Module:
    module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return module.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload,no-any-return]
