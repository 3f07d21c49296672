"""Both stages together: a volume to the first stage's heat, and its regions to scored candidates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.errors import ModelError
from models.ct.isotropic_grid import STEP_MM, Float, Index, Spacing
from models.ct.lung_field import LungField
from models.finite_output import require_finite_output
from models.lung_nodule_ct import network, second_stage
from models.lung_nodule_ct.candidates import NoduleCandidate, ScoredPlace, find_candidates, one_per_nodule
from models.lung_nodule_ct.cpu_network import prepare_for_cpu
from models.lung_nodule_ct.heat import NoduleHeat, compute_heat
from models.lung_nodule_ct.probability import combined_score
from models.weights import read_tensors

FIRST, SECOND = "first.", "second."
SETTINGS: Mapping[str, Any] = {**network.DEFAULT, "second": dict(second_stage.DEFAULT)}


def join_weights(first: Path, second: Path, target: Path) -> Path:
    """Write the weights of both stages to one file; prefixes tell them apart."""
    tensors = {FIRST + k: v for k, v in load_file(first).items()} | {SECOND + k: v for k, v in load_file(second).items()}
    save_file(tensors, target)
    return target


class TwoStageDetector:
    """The two networks of one weights file on one device."""

    def __init__(self, weights: Path, settings: Mapping[str, Any], device: str = "cpu") -> None:
        tensors = read_tensors(weights)
        self.device = device
        self._first = _loaded(network.build(settings), tensors, FIRST, device)
        self._second = _loaded(second_stage.build(settings["second"]), tensors, SECOND, device)

    def warm_up(self) -> None:
        """Run one forward pass of each network, so that the first series does not wait for set-up."""
        edge = second_stage.INPUT_EDGE
        with torch.inference_mode():
            self._first(torch.zeros(1, 1, 32, 32, 32, device=self.device))
            self._second(torch.zeros(1, 1, edge, edge, edge, device=self.device))

    def heat(self, lungs: LungField, hu: npt.NDArray[np.int16], spacing_mm: Spacing, tick: Callable[[], None] | None = None) -> NoduleHeat:
        """The first stage's heat in the lung field; ``tick`` is called before every batch of windows."""
        return compute_heat(lungs, self._first, hu, spacing_mm, self.device, tick)

    def first_stage(self, image: Float) -> Float:
        """The first stage's output 0..1 of one normalised image (Z, Y, X), edges multiples of 8."""
        with torch.inference_mode():
            heat: Float = torch.sigmoid(self._first(torch.from_numpy(image)[None, None].to(self.device)).float())[0, 0].cpu().numpy()
        return heat

    def scored_regions(self, heat: NoduleHeat, thresholds: Mapping[str, float]) -> list[tuple[NoduleCandidate, float]]:
        """Every region of the first stage with the second stage's score."""
        regions = find_candidates(heat, thresholds)
        scores = second_stage.candidate_scores(self._second, heat.image, [region.place for region in regions], self.device)
        return list(zip(regions, scores, strict=True))

    def candidates(self, heat: NoduleHeat, thresholds: Mapping[str, float]) -> list[NoduleCandidate]:
        """The candidates whose combined score is at least ``thresholds["score"]``, highest first."""
        return combine_scores(self.scored_regions(heat, thresholds), thresholds, thresholds["score"])


def combine_scores(
    regions: Sequence[tuple[NoduleCandidate, float]], thresholds: Mapping[str, float], least: float
) -> list[NoduleCandidate]:
    """Every region with the combined score of both stages; those of at least ``least``, highest first, one for each nodule."""
    scored = [replace(region, score=combined_score(region.score, second, region.diameter_mm, thresholds)) for region, second in regions]
    marks = [ScoredPlace(in_mm(one.place), one.diameter_mm, one.score) for one in scored]
    return [scored[index] for index in one_per_nodule(marks) if scored[index].score >= least]


def in_mm(place: Index) -> Index:
    """A place on the grid of the heat in mm."""
    z, y, x = place
    return z * STEP_MM, y * STEP_MM, x * STEP_MM


def _loaded(module: nn.Module, tensors: Mapping[str, torch.Tensor], prefix: str, device: str) -> nn.Module:
    try:
        module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise ModelError(f"the weights do not fit the {prefix.rstrip('.')} network of the card", hint=str(error).splitlines()[0]) from error
    module.eval().to(device, memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    served = prepare_for_cpu(module) if device == "cpu" else module
    require_finite_output(served, f"lung_nodule_ct: the {prefix.rstrip('.')} network's")
    return served
