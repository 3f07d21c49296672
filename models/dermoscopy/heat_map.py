"""Grad-CAM of one network on its own input grid."""

import torch

from models.dermoscopy.efficientnet_lite import LiteNet
from models.dermoscopy.network import LesionNet
from models.grad_cam import grad_cam


def lesion_grad_cam(net: LesionNet | LiteNet, image: torch.Tensor, facts: torch.Tensor, label: int) -> torch.Tensor:
    """Evidence for class ``label``: (1, 3, S, S) and (1, facts) to (S, S) float32.

    The last feature map is used. It is coarse, but covering the area that it marks lowers the probability more than covering the area
    that finer maps mark, and it marks less skin beside the lesion.
    """
    with torch.no_grad():
        last = net.maps(image)[-1]
    side = image.shape[-1]
    return grad_cam(last, lambda features: net.classify(features, facts), label, (side, side))
