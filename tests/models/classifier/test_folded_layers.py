"""The networks as they serve give the answers of the networks as they were trained."""

import copy

import pytest
import torch
from torch import nn

from models.dermoscopy.ensemble import prepare_network
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.network import LesionNet, build

SMALL = {"widths": [8, 8, 16, 16], "layers": [1, 1, 1, 1], "facts": 18, "outline": 8, "familiar": True}


@pytest.mark.parametrize(("plain", "side"), [(build(SMALL, 7), 75), (build_lite({"facts": 18}, 7), 96)])
def test_the_prepared_network_gives_the_trained_networks_answers(plain: LesionNet | LiteNet, side: int) -> None:
    torch.manual_seed(1)
    norms = [module for module in plain.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 1.0)  # type: ignore[arg-type]
    prepared = copy.deepcopy(plain)
    prepare_network(prepared)
    assert not [module for module in prepared.modules() if isinstance(module, nn.BatchNorm2d | nn.ConstantPad2d)]
    image, facts = torch.randint(0, 255, (1, 3, side, side), dtype=torch.uint8), torch.rand(1, 18)
    with torch.inference_mode():
        for wanted, found in zip(plain.maps(image), prepared.maps(image), strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(prepared(image, facts), plain(image, facts), atol=1e-4, rtol=1e-4)
        if isinstance(plain, LesionNet) and isinstance(prepared, LesionNet):
            outlines = [net.decode_outline(net.maps(image), side) for net in (prepared, plain)]
            torch.testing.assert_close(*outlines, atol=1e-4, rtol=1e-4)
