"""The fused layers give the answers of the layers that they replace, in every kind of block, and for inputs of other sizes."""

import copy

import pytest
import torch
from torch import nn

from models.classifier.fused_layers import FusedConvolution
from models.dermoscopy.ensemble import fuse_network, prepare_network
from models.dermoscopy.lite_net import LiteNet, build_lite
from models.dermoscopy.network import LesionNet, build

SMALL = {"widths": [8, 8, 16, 16], "layers": [2, 1, 1, 1], "facts": 18, "outline": 8, "familiar": True}


@pytest.mark.parametrize(("net", "side"), [(build(SMALL, 7), 75), (build_lite({"facts": 18}, 7), 96)])
def test_the_fused_network_gives_the_same_maps(net: LesionNet | LiteNet, side: int) -> None:
    torch.manual_seed(1)
    for norm in [module for module in net.eval().requires_grad_(False).modules() if isinstance(module, nn.BatchNorm2d)]:
        nn.init.uniform_(norm.running_mean, -0.1, 0.1)  # type: ignore[arg-type]
        nn.init.uniform_(norm.running_var, 0.5, 1.0)  # type: ignore[arg-type]
    prepare_network(net)
    fused = copy.deepcopy(net)
    fuse_network(fused, torch.zeros(2, 3, side, side))
    left = [module for module in fused.trunk.modules() if isinstance(module, nn.Conv2d)]
    assert left == []
    assert any(isinstance(module, FusedConvolution) for module in fused.modules())
    for count, size in ((2, side), (1, side), (3, side + 32)):
        image = torch.randint(0, 255, (count, 3, size, size), dtype=torch.uint8)
        with torch.inference_mode():
            for wanted, found in zip(net.maps(image), fused.maps(image), strict=True):
                torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
