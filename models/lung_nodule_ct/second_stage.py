"""The second stage: a small MONAI 3D network that scores each candidate of the first stage, to remove false positives."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from models.batch_halves import run_in_halves
from models.ct.isotropic_grid import Float, Index

DEFAULT: Mapping[str, Any] = {"channels": [16, 32, 64], "residual_units": 2, "dropout": 0.2}
INPUT_EDGE = 32  # voxels of 1 mm along each edge of the input cube
BATCH = 16
FLIPS = ((), (2,), (3,), (4,), (2, 3, 4))  # axes of (N, 1, Z, Y, X); the logits are averaged


class CandidateClassifier(nn.Module):
    """MONAI's residual units as in the first stage, each halving the cube; then the mean of the centre, the mean and the maximum of the
    last map to one logit. The names of the attributes are part of the names of the shipped weights."""

    def __init__(self, channels: Sequence[int], residual_units: int, dropout: float) -> None:
        super().__init__()
        from monai.networks.blocks.convolutions import ResidualUnit

        widths = [1, *channels]
        self.levels = nn.ModuleList(
            ResidualUnit(3, before, after, strides=2, subunits=residual_units, norm="BATCH") for before, after in pairwise(widths)
        )
        self.even = nn.BatchNorm3d(channels[-1])  # a residual unit ends without normalisation
        self.final = nn.Sequential(nn.Dropout(dropout), nn.Linear(3 * channels[-1], 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(N, 1, 32, 32, 32) normalised HU at 1 mm to (N, 1) logits of "nodule"."""
        for level in self.levels:
            values = level(values)
        values = self.even(values)
        edge = values.shape[-1]
        middle = values[..., edge // 2 - 1 : edge // 2 + 1, edge // 2 - 1 : edge // 2 + 1, edge // 2 - 1 : edge // 2 + 1]
        pooled = [middle.mean(dim=(2, 3, 4)), values.mean(dim=(2, 3, 4)), values.amax(dim=(2, 3, 4))]
        logits: torch.Tensor = self.final(torch.cat(pooled, dim=1))
        return logits


def build(settings: Mapping[str, Any] = DEFAULT) -> nn.Module:
    """The network of a card's ``[network.second]`` table."""
    return CandidateClassifier([int(c) for c in settings["channels"]], int(settings["residual_units"]), float(settings["dropout"]))


def copy_encoder(model: nn.Module, first: Mapping[str, torch.Tensor]) -> None:
    """Initialise ``model`` in place with the encoder of the first stage (weights ``first``), which already tells nodules from vessels.

    The residual units are the same, nested in the U-Net and in a list here.
    """
    own = model.state_dict()
    nested = "model."
    for level in range(sum(key.endswith("conv.unit0.conv.weight") for key in own)):
        unit = f"{nested}0."
        own |= {f"levels.{level}." + key.removeprefix(unit): value for key, value in first.items() if key.startswith(unit)}
        nested += "1.submodule."
    model.load_state_dict(own)


def crop_cube(values: Float, centre: Sequence[float], edge: int = INPUT_EDGE) -> Float:
    """A cube of ``edge`` voxels of (Z, Y, X) around an index (rounded); outside, the edge is repeated."""
    parts = []
    for axis, at in enumerate(centre):
        first = round(at) - edge // 2
        parts.append(np.clip(np.arange(first, first + edge), 0, values.shape[axis] - 1))
    return values[np.ix_(*parts)]


def candidate_scores(network: nn.Module, values: Float, places: Sequence[Index], device: str) -> list[float]:
    """Score 0..1 of each place (index into ``values``, 1 mm, normalised); a score is not a probability."""
    scores: list[float] = []
    with torch.inference_mode():
        for start in range(0, len(places), BATCH):
            cubes = np.stack([crop_cube(values, place) for place in places[start : start + BATCH]])[:, None]
            for part in run_in_halves(partial(_score_cubes, network, cubes, device), len(cubes)):
                scores += part
    return scores


def _score_cubes(network: nn.Module, cubes: Float, device: str, part: slice) -> list[float]:
    inputs = torch.from_numpy(cubes[part]).to(device)
    with torch.autocast("cuda", dtype=torch.float16, enabled=device == "cuda"):
        logits = [network(inputs.flip(flip) if flip else inputs).float() for flip in FLIPS]
    averaged: list[float] = torch.sigmoid(torch.stack(logits).mean(dim=0))[:, 0].cpu().tolist()
    return averaged
