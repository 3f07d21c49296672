"""Grad-CAM: the parts of an image that speak for an answer (Selvaraju et al., 2017)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F


def grad_cam(last: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor], label: int, shape: tuple[int, int]) -> torch.Tensor:
    """Evidence for class ``label`` against the other classes, never below 0: (Y, X) float32 of ``shape``.

    ``last`` (1, C, Y, X) is the network's last feature map and ``head`` computes (1, classes) logits from it. Gradients stop at the
    map, so that the pass costs little more than a forward one.
    """
    with torch.enable_grad():
        last = last.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.log_softmax(head(last).float(), dim=1)[0, label], last)
    heat = (slope * last.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(heat, size=shape, mode="bilinear", align_corners=False)[0, 0]
