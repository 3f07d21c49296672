"""An ensemble of networks: each sees the image at its own input size, and their logits are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.dermoscopy.network import LesionNet, build, dihedral
from models.dermoscopy.preprocess import resize_square


@dataclass(frozen=True, slots=True)
class MemberOutput:
    """One network's output for N images.

    ``logits`` (N, classes) float32, the mean over the views. From the upright view: ``outline`` (N, side, side) logits, None where the
    network has no outline decoder, and ``distance`` (N,) from the training images, None where it is not measured by this network.
    """

    logits: torch.Tensor
    outline: torch.Tensor | None
    distance: torch.Tensor | None


def concatenate_outputs(parts: Sequence[MemberOutput]) -> MemberOutput:
    """One output from those of the parts of a batch."""

    def joined(values: list[torch.Tensor | None]) -> torch.Tensor | None:
        given = [value for value in values if value is not None]
        return torch.cat(given) if given else None

    logits = torch.cat([part.logits for part in parts])
    return MemberOutput(logits, joined([part.outline for part in parts]), joined([part.distance for part in parts]))


class Ensemble(torch.nn.Module):
    """The networks of the card's ``[network.members]``, one table each. The last member measures the distance from the training images."""

    def __init__(self, network: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.sides: dict[str, int] = {name: int(table["input_px"]) for name, table in network["members"].items()}
        self.members = torch.nn.ModuleDict({name: build(table, classes) for name, table in network["members"].items()})

    def member(self, name: str) -> LesionNet:
        """The member of that name."""
        found = self.members[name]
        assert isinstance(found, LesionNet)
        return found

    @property
    def last(self) -> str:
        """Name of the member that measures the distance from the training images."""
        return list(self.sides)[-1]

    def run_member(self, name: str, images: torch.Tensor, facts: torch.Tensor, views: int) -> MemberOutput:
        """One member's output for (N, 3, side, side) uint8 and ``facts`` (N, FACTS) float32, over ``views`` mirrored and turned copies."""
        net = self.member(name)
        maps = net.maps(torch.cat(dihedral(images)[:views]))
        logits = net.classify(maps[-1], facts.repeat(views, 1)).float().view(views, len(images), -1).mean(0)
        upright = [found[: len(images)] for found in maps]
        outline = net.decode_outline(upright, self.sides[name]) if net.outline is not None else None
        return MemberOutput(logits, outline, net.distance(upright) if name == self.last else None)


def average_outputs(outputs: Sequence[MemberOutput]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean logits (N, classes), distance (N,) of the last member, and mean outline (N, side, side) of all members, in their order."""
    side = outputs[-1].outline
    assert side is not None
    assert outputs[-1].distance is not None
    outlines = [one.outline for one in outputs if one.outline is not None and one.outline.shape == side.shape]
    return torch.stack([one.logits for one in outputs]).mean(0), outputs[-1].distance, torch.stack(outlines).mean(0)


def to_tensor(squares: np.ndarray, side: int) -> torch.Tensor:
    """(N, Y, X, 3) uint8 to (N, 3, side, side) uint8."""
    return torch.from_numpy(np.stack([resize_square(square, side) for square in squares])).permute(0, 3, 1, 2)
