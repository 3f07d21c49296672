"""The folded first stages give what the network itself gives."""

import torch

from models.dermoscopy.lite import LiteNet
from training.dermoscopy_7class.front import Front


def test_the_folded_stages_give_the_maps_of_the_network() -> None:
    torch.manual_seed(1)
    net = LiteNet(7)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0)
            elif name.endswith(("running_mean", "_bn1.bias", "_bn2.bias", "_bn0.bias")):
                value.normal_(0, 0.3)
    net.eval()
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    front = Front(net, 2)
    with torch.inference_mode():
        ours, theirs = net.maps_from(2, front(images)), net.maps(images)[1:]
    for one, other in zip(ours, theirs, strict=True):
        assert float(other.std()) > 1e-3
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())  # the network itself is untouched
