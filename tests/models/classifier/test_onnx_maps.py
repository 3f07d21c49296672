"""ONNX Runtime gives the maps of torch, in every kind of block, for any number and size of images, and from several threads."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from models.dermoscopy.ensemble import prepare_network, serve_maps
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.network import LesionNet, build

SMALL = {"widths": [8, 8, 16, 16], "layers": [2, 1, 1, 1], "facts": 18, "outline": 8, "familiar": True}


def prepared(net: LesionNet | LiteNet) -> LesionNet | LiteNet:
    """The network with random normalisations, folded."""
    torch.manual_seed(1)
    for norm in [module for module in net.eval().requires_grad_(False).modules() if isinstance(module, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 1.0)  # type: ignore[arg-type]
    prepare_network(net)
    return net


@pytest.mark.parametrize(("net", "side"), [(build(SMALL, 7), 75), (build_lite({"facts": 18}, 7), 96)])
def test_the_maps_are_those_of_torch(net: LesionNet | LiteNet, side: int) -> None:
    served = copy.deepcopy(prepared(net))
    serve_maps(served)
    for count, size in ((2, side), (1, side), (3, side + 32)):
        image = torch.randint(0, 255, (count, 3, size, size), dtype=torch.uint8)
        with torch.inference_mode():
            for wanted, found in zip(net.maps(image), served.maps(image), strict=True):
                torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_an_answer_does_not_depend_on_what_runs_beside_it() -> None:
    net = prepared(build(SMALL, 7))
    serve_maps(net)
    images = [torch.randint(0, 255, (2, 3, 75, 75), dtype=torch.uint8) for _ in range(8)]
    alone = [net.maps(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(net.maps, images))
    for wanted, found in zip(alone, beside, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(wanted, found, strict=True))
