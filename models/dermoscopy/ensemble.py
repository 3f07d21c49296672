"""Networks that answer together: each sees the image at its own side, their logits are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.dermoscopy.network import LesionNet, build, dihedral
from models.dermoscopy.preprocess import reduce


@dataclass(frozen=True, slots=True)
class Said:
    """What one network says of N images.

    ``logits`` (N, classes) float32, the mean over the views. Of the upright view: ``outline`` (N, side, side) logits, None where it draws
    none, and ``distance`` (N,) from its training images, None where it knows no strangers.
    """

    logits: torch.Tensor
    outline: torch.Tensor | None
    distance: torch.Tensor | None


def in_a_row(parts: Sequence[Said]) -> Said:
    """What one network said of the parts of a batch, as one."""

    def joined(values: list[torch.Tensor | None]) -> torch.Tensor | None:
        there = [value for value in values if value is not None]
        return torch.cat(there) if there else None

    logits = torch.cat([part.logits for part in parts])
    return Said(logits, joined([part.outline for part in parts]), joined([part.distance for part in parts]))


class Panel(torch.nn.Module):
    """The card's ``[network]``: a table for every member, with the side of its input. The last knows strangers."""

    def __init__(self, network: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.sides: dict[str, int] = {name: int(table["input_px"]) for name, table in network["members"].items()}
        self.members = torch.nn.ModuleDict({name: build(table, classes) for name, table in network["members"].items()})

    def net(self, name: str) -> LesionNet:
        """One member."""
        found = self.members[name]
        assert isinstance(found, LesionNet)
        return found

    @property
    def last(self) -> str:
        """The member that knows strangers."""
        return list(self.sides)[-1]

    def ask(self, name: str, images: torch.Tensor, facts: torch.Tensor, views: int) -> Said:
        """One member on (N, 3, side, side) uint8 and ``facts`` (N, FACTS) float32, in ``views`` mirrored and turned copies."""
        net = self.net(name)
        maps = net.maps(torch.cat(dihedral(images)[:views]))
        logits = net.judge(maps[-1], facts.repeat(views, 1)).float().view(views, len(images), -1).mean(0)
        upright = [found[: len(images)] for found in maps]
        outline = net.outlined(upright, self.sides[name]) if net.outline is not None else None
        return Said(logits, outline, net.distance(upright) if name == self.last else None)


def together(said: Sequence[Said]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of all members, in their order: logits (N, classes), distance (N,) and outline (N, side, side), each member's word counting alike."""
    side = said[-1].outline
    assert side is not None
    assert said[-1].distance is not None
    outlines = [one.outline for one in said if one.outline is not None and one.outline.shape == side.shape]
    return torch.stack([one.logits for one in said]).mean(0), said[-1].distance, torch.stack(outlines).mean(0)


def to_tensor(squares: np.ndarray, side: int) -> torch.Tensor:
    """(N, Y, X, 3) uint8 to (N, 3, side, side) uint8."""
    return torch.from_numpy(np.stack([reduce(square, side) for square in squares])).permute(0, 3, 1, 2)
