"""Networks that answer together: each sees the image at its own side, their logits are averaged."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from models.dermoscopy.network import LesionNet, build, dihedral
from models.dermoscopy.preprocess import reduce


class Panel(torch.nn.Module):
    """The card's ``[network]``: a table for every member, with the side of its input. The last draws the outline and knows strangers."""

    def __init__(self, network: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        self.sides = {name: int(table["input_px"]) for name, table in network["members"].items()}
        self.members = torch.nn.ModuleDict({name: build(table, classes) for name, table in network["members"].items()})

    def nets(self) -> dict[str, LesionNet]:
        """The members by name, in their order."""
        found = {}
        for name, member in self.members.items():
            assert isinstance(member, LesionNet)
            found[name] = member
        return found

    @property
    def last(self) -> LesionNet:
        """The member that draws the outline and knows strangers."""
        return list(self.nets().values())[-1]

    def inputs(self, squares: np.ndarray, device: str) -> dict[str, torch.Tensor]:
        """(N, 150, 150, 3) uint8 to every member's (N, 3, side, side) uint8."""
        return {name: to_tensor(squares, side).to(device) for name, side in self.sides.items()}

    def forward(self, inputs: Mapping[str, torch.Tensor], facts: torch.Tensor, views: int) -> tuple[torch.Tensor, ...]:
        """Logits (N, classes), the mean over members and ``views`` copies; distance (N,); outline logits (N, side, side).

        ``facts`` (N, FACTS) float32. Distance and outline are of the upright view.
        """
        every, maps = [], []
        for name, net in self.nets().items():
            images = inputs[name]
            maps = net.maps(torch.cat(dihedral(images)[:views]))
            logits = net.judge(maps[-1], facts.repeat(views, 1))
            every.append(logits.float().view(views, len(images), -1).mean(0))
        upright = [found[: len(facts)] for found in maps]
        return torch.stack(every).mean(0), self.last.distance(upright), self.last.outlined(upright, list(self.sides.values())[-1])


def to_tensor(squares: np.ndarray, side: int) -> torch.Tensor:
    """(N, Y, X, 3) uint8 to (N, 3, side, side) uint8."""
    return torch.from_numpy(np.stack([reduce(square, side) for square in squares])).permute(0, 3, 1, 2)
