"""Where the evidence for an answer is, on the network's input."""

import torch

from models import grad_cam as models_grad_cam
from models.dermoscopy.network import LesionNet


def grad_cam(net: LesionNet, image: torch.Tensor, facts: torch.Tensor, label: int) -> torch.Tensor:
    """(1, 3, S, S) and (1, facts) to (S, S) float32: Grad-CAM for class ``label``.

    On the last map. It is coarse, but covering what it marks takes more from the answer than covering what finer maps
    mark, and it marks less beside the lesion.
    """
    with torch.no_grad():
        last = net.maps(image)[-1]
    side = image.shape[-1]
    return models_grad_cam.grad_cam(last, lambda one: net.judge(one, facts), label, (side, side))
