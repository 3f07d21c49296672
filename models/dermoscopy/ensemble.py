"""An ensemble of networks: each sees the image at its own input size, and the weighted mean of their logits is the answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.classifier.efficientnet_lite import KIND
from models.classifier.folded_layers import fold_lite, fold_resnet
from models.classifier.heat_map import grad_cam
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.network import LesionNet, build, dihedral, enlarge_outline
from models.dermoscopy.preprocess import common_square, fine_square, resize_square

Squares = Sequence[np.ndarray] | np.ndarray  # N squares, each (Y, Y, 3) uint8; as an array all of one size


@dataclass(frozen=True, slots=True)
class MemberOutput:
    """One network's output for N images.

    ``logits`` (N, classes) float32, the mean over the views. From the upright view: ``outline`` (N, 1, Y, X) logits on the grid of the
    finest map, None where the network has no outline decoder, and ``distance`` (N,) from the training images, None where it is not
    measured by this network.
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
    """The networks of the card's ``[network.members]``, one table each.

    ``weight`` of a table (default 1) is the member's share in the mean of the logits, ``views`` the number of mirrored and turned copies
    that it sees (default: those of the call). The last member measures the distance from the training images and is a LesionNet.
    """

    def __init__(self, network: Mapping[str, Any], classes: int) -> None:
        super().__init__()
        tables: Mapping[str, Mapping[str, Any]] = network["members"]
        self.sides: dict[str, int] = {name: int(table["input_px"]) for name, table in tables.items()}
        self.weights: dict[str, float] = {name: float(table.get("weight", 1.0)) for name, table in tables.items()}
        self.views: dict[str, int | None] = {name: table.get("views") for name, table in tables.items()}
        self.members = torch.nn.ModuleDict({name: build_member(table, classes) for name, table in tables.items()})

    def network(self, name: str) -> LesionNet | LiteNet:
        """The network of that name."""
        found = self.members[name]
        assert isinstance(found, LesionNet | LiteNet)
        return found

    def member(self, name: str) -> LesionNet:
        """The member of that name, which is a LesionNet."""
        found = self.members[name]
        assert isinstance(found, LesionNet)
        return found

    @property
    def lesion_nets(self) -> list[str]:
        """The names of the members that are LesionNets: these are trained on HAM10000 alone, and by sites together."""
        return [name for name, net in self.members.items() if isinstance(net, LesionNet)]

    @property
    def last(self) -> str:
        """Name of the member that measures the distance from the training images."""
        return list(self.sides)[-1]

    def prepare_to_serve(self) -> "Ensemble":
        """Eval mode without gradients, normalisations and paddings folded; returns itself, which is not trained afterwards."""
        self.eval().requires_grad_(False)
        for name in self.sides:
            prepare_network(self.network(name))
        return self

    def run_on_cpu(self) -> "Ensemble":
        """After ``prepare_to_serve``: the maps of every trunk are computed by ONNX Runtime; returns itself."""
        for name in self.sides:
            serve_maps(self.network(name))
        return self

    def input_of(self, name: str, squares: Squares) -> torch.Tensor:
        """What member ``name`` sees of N squares, each (Y, Y, 3) uint8: (N, 3, side, side) uint8.

        A LesionNet sees them reduced to the common grid, an EfficientNet from the finer grid.
        """
        to_grid = fine_square if isinstance(self.members[name], LiteNet) else common_square
        return to_tensor([to_grid(square) for square in squares], self.sides[name])

    def inputs_of(self, squares: Squares) -> dict[str, torch.Tensor]:
        """``input_of`` of every member, each grid computed once."""
        found: dict[tuple[type[torch.nn.Module], int], torch.Tensor] = {}
        for name, side in self.sides.items():
            grid = type(self.members[name]), side
            if grid not in found:
                found[grid] = self.input_of(name, squares)
        return {name: found[type(self.members[name]), side] for name, side in self.sides.items()}

    def run_member(self, name: str, images: torch.Tensor, facts: torch.Tensor, views: int) -> MemberOutput:
        """One member's output for (N, 3, side, side) uint8 and ``facts`` (N, FACTS) float32, over ``views`` mirrored and turned copies."""
        net, views = self.network(name), self.views[name] or views
        maps = net.maps(torch.cat(dihedral(images)[:views]))
        logits = net.classify(maps[-1], facts.repeat(views, 1)).float().view(views, len(images), -1).mean(0)
        if isinstance(net, LiteNet):
            return MemberOutput(logits, None, None)
        upright = [found[: len(images)] for found in maps]
        outline = net.outline(upright).float() if net.outline is not None else None
        return MemberOutput(logits, outline, net.distance(upright) if name == self.last else None)

    def evidence(self, name: str, image: torch.Tensor, facts: torch.Tensor, label: int) -> torch.Tensor:
        """Evidence for class ``label`` in one member (Grad-CAM): (1, 3, S, S) uint8 and ``facts`` (1, FACTS) to (S, S) float32.

        The last feature map is used. It is coarse, but covering the area that it marks lowers the probability more than covering the area
        that finer maps mark, and it marks less skin beside the lesion.
        """
        net, side = self.network(name), image.shape[-1]
        with torch.no_grad():
            last = net.maps(image)[-1]
        return grad_cam(last, lambda features: net.classify(features, facts), label, (side, side))

    def average(self, outputs: Sequence[MemberOutput]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Of all members' outputs in their order: weighted mean of the logits (N, classes), distance (N,), mean outline (N, side, side)."""
        last = outputs[-1]
        assert last.outline is not None
        assert last.distance is not None
        outlines = [one.outline for one in outputs if one.outline is not None and one.outline.shape == last.outline.shape]
        outline = enlarge_outline(torch.stack(outlines).mean(0), self.sides[self.last])
        total = sum(self.weights.values())
        logits = torch.stack([one.logits * (weight / total) for one, weight in zip(outputs, self.weights.values(), strict=True)]).sum(0)
        return logits, last.distance, outline


def build_member(table: Mapping[str, Any], classes: int) -> LesionNet | LiteNet:
    """The network of a table of the card, by its ``kind``."""
    return build_lite(table, classes) if table["kind"] == KIND else build(table, classes)


def prepare_network(net: LesionNet | LiteNet) -> None:
    """Change a network in place that is in eval mode and is not trained afterwards (see folded_layers)."""
    if isinstance(net, LiteNet):
        fold_lite(net.trunk)
    else:
        fold_resnet(net)


def serve_maps(net: LesionNet | LiteNet) -> None:
    """Let ONNX Runtime compute the maps of a prepared network on the CPU (see onnx_maps)."""
    from models.classifier.onnx_maps import lite_maps, resnet_maps  # on a GPU the library is not loaded

    net.served_maps = lite_maps(net.trunk) if isinstance(net, LiteNet) else resnet_maps(net.trunk)


def to_tensor(squares: Squares, side: int) -> torch.Tensor:
    """N squares (Y, X, 3) uint8 to (N, 3, side, side) uint8."""
    return torch.from_numpy(np.stack([resize_square(square, side) for square in squares])).permute(0, 3, 1, 2)
