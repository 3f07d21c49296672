"""Grad-CAM by the head of a network and by the name of a layer, and the scale of the maps."""

import numpy as np
import pytest
import torch
from torch import nn

from models.classifier.heat_map import grad_cam, layer_grad_cam, scale_to_unit


class TwoChannels(nn.Module):
    """Class 0 is the mean of the first channel, class 1 that of the second."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Identity()

    def classify(self, features: torch.Tensor) -> torch.Tensor:
        return features.mean((2, 3))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classify(self.last(image))


@pytest.mark.parametrize("label", [0, 1])
def test_the_map_lies_where_the_channel_of_the_class_is_bright(label: int) -> None:
    image = torch.zeros(1, 2, 8, 8)
    image[0, 0, 1, 2] = image[0, 1, 6, 5] = 1.0
    net = TwoChannels()
    heat = grad_cam(image, net.classify, label, (8, 8))
    place = (6, 5) if label else (1, 2)
    assert heat[place] > 0
    assert heat.count_nonzero() == 1
    assert torch.equal(layer_grad_cam(net, "last", image[0], label, "softmax")[0], heat)


def test_with_a_sigmoid_the_other_class_does_not_count() -> None:
    image = torch.ones(2, 4, 4)
    first = layer_grad_cam(TwoChannels(), "last", image, 0, "sigmoid")
    image[1] = 5.0
    assert torch.equal(layer_grad_cam(TwoChannels(), "last", image, 0, "sigmoid"), first)
    assert not torch.equal(layer_grad_cam(TwoChannels(), "last", image, 0, "softmax"), first)


def test_heat_is_scaled_by_its_maximum() -> None:
    assert scale_to_unit(np.array([[-3.0, 0.0], [2.0, 4.0]])).tolist() == [[0.0, 0.0], [0.5, 1.0]]
    assert scale_to_unit(np.full((2, 2), -1.0)).tolist() == [[0.0, 0.0], [0.0, 0.0]]
