"""Compares ways to compute the networks of ``dermoscopy_7class`` on one thread: what is served, plain torch, and other runtimes.

.venv/bin/python -m tests.bench.skin_networks [--images 16] [--rounds 7]

One pass is what one image costs in all networks, in every view that the card names, up to the logits. The answers are compared with those
of plain torch. torch.compile needs a C++ compiler.
"""

import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models import registry
from models.classifier.efficientnet_lite import MEAN, SCALE
from models.dermoscopy.ensemble import Ensemble, prepare_network, serve_maps
from models.dermoscopy.lite_net import LiteNet
from models.dermoscopy.network import dihedral
from models.dermoscopy.patient import Patient
from models.dermoscopy.preprocess import reduced_square
from models.torch_threads import cpu_threads
from models.weights import load_weights
from tests.bench.benchmark import command_line, report
from tests.bench.dermoscopy import make_photograph
from tests.bench.paired_runs import ROOT, format_spread, markdown_table, median_ratio, run_in_turns

PAGE = ROOT / "docs" / "models" / "dermoscopy_7class-training.md"
PLAIN, SERVED = "plain torch", "as served: ONNX Runtime"
Pass = Callable[[torch.Tensor], torch.Tensor]  # (views, 3, Y, X) uint8 of one image to (views, classes) logits


class PlainNetwork(torch.nn.Module):
    """One network from pixels to logits, for one patient, in the memory format of its weights; the same steps as the network's own."""

    def __init__(self, net: Any, facts: torch.Tensor) -> None:
        super().__init__()
        self.net, self.lite = net, isinstance(net, LiteNet)
        self.register_buffer("facts", facts)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """(views, 3, Y, X) uint8 to (views, classes)."""
        net, trunk = self.net, self.net.trunk
        if self.lite:
            last = net.last_map_from(0, trunk.stem((views.float() - MEAN) / SCALE))
        else:
            last = trunk.maxpool(trunk.act(trunk.bn1(trunk.conv1((views.float() - net.mean) / net.std))))
            for layer in (trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4):
                last = layer(last)
        logits: torch.Tensor = net.classify(last, self.facts)
        return logits


def in_format(net: Any, memory: torch.memory_format) -> Any:
    """Return a copy of a network whose convolutions have their weights in that memory format."""
    copy = deepcopy(net)
    for module in copy.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight = torch.nn.Parameter(module.weight.contiguous(memory_format=memory), requires_grad=False)
    return copy


def folded(net: Any) -> Any:
    """Return a copy of a network whose normalisations and paddings are folded into the convolutions."""
    copy = deepcopy(net)
    prepare_network(copy)
    return copy


def served(net: Any, facts: torch.Tensor) -> Pass:
    """Return what the worker computes on a CPU."""
    copy = folded(net)
    serve_maps(copy)
    return lambda views: copy.classify(copy.maps(views)[-1], facts)


def in_bfloat16(net: Any, facts: torch.Tensor) -> Pass:
    """Return the folded network under autocast to bfloat16."""
    copy = folded(net)

    def run(views: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found: torch.Tensor = copy.classify(copy.maps(views)[-1], facts).float()
        return found

    return run


def compiled(net: Any, facts: torch.Tensor) -> Pass:
    """Return the network compiled by torch, with constant weights."""
    found: Pass = torch.compile(PlainNetwork(deepcopy(net), facts).eval(), options={"freezing": True})
    return found


def ways(ensemble: Ensemble, facts: dict[str, torch.Tensor]) -> dict[str, dict[str, Pass]]:
    """Return every way to compute, by the name of the network."""
    makers: dict[str, Callable[[Any, torch.Tensor], Pass]] = {
        PLAIN: lambda net, known: PlainNetwork(in_format(net, torch.contiguous_format), known),
        "channels last": lambda net, known: PlainNetwork(in_format(net, torch.channels_last), known),
        "channels last, folded": lambda net, known: PlainNetwork(folded(net), known),
        "bfloat16, folded": in_bfloat16,
        "torch.compile": compiled,
        SERVED: served,
    }
    return {way: {name: make(ensemble.network(name), facts[name]) for name in facts} for way, make in makers.items()}


def main() -> None:
    """Run the benchmark and print the result."""
    parser = command_line(__doc__, page=PAGE)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    card, folder = registry.card("dermoscopy_7class"), registry.folder("dermoscopy_7class")
    ensemble = Ensemble(card.network, len(card.labels))
    load_weights(ensemble, Path(folder) / "weights.safetensors", card)
    ensemble.eval().requires_grad_(False)
    most_px, views = int(card.preprocessing["most_px"]), int(card.preprocessing["views"])
    squares = [reduced_square(make_photograph(seed).rgb, most_px) for seed in range(arguments.images)]
    inputs = [
        {name: torch.cat(dihedral(images)[: ensemble.views[name] or views]) for name, images in ensemble.inputs_of([square]).items()}
        for square in squares
    ]
    known = torch.from_numpy(Patient(50.0, "F", "back").facts())
    facts = {name: known.repeat(len(images), 1) for name, images in inputs[0].items()}
    with cpu_threads(1), torch.inference_mode():
        every = ways(ensemble, facts)
        answers = {way: answer_all(passes, inputs) for way, passes in every.items()}
        runs = run_in_turns({way: lambda passes=passes: ms_per_image(passes, inputs) for way, passes in every.items()}, arguments.rounds)
    rows = [
        (way, format_spread(runs[way], 1), median_ratio(runs[SERVED], runs[way], better="lower"), f"{difference:.1e}")
        for way in every
        if (difference := float(np.abs(answers[way] - answers[PLAIN]).max())) >= 0
    ]
    head = ("way", "ms per image", "as served is faster by", "largest difference of a logit from plain torch")
    options = f"--images {arguments.images} --rounds {arguments.rounds}"
    report(arguments, "skin_networks", "", markdown_table(head, rows), options, page=PAGE)


def answer_all(passes: dict[str, Pass], inputs: list[dict[str, torch.Tensor]]) -> np.ndarray:
    """Return the logits of every image in every network and view, one after the other."""
    return np.concatenate([run(given[name]).float().numpy().ravel() for given in inputs for name, run in passes.items()])


def ms_per_image(passes: dict[str, Pass], inputs: list[dict[str, torch.Tensor]]) -> float:
    """Return the milliseconds that all networks take for one image."""
    begin = time.perf_counter()
    for given in inputs:
        for name, run in passes.items():
            run(given[name])
    return 1000 * (time.perf_counter() - begin) / len(inputs)


if __name__ == "__main__":
    main()
