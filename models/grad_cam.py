"""Grad-CAM: which parts of the image speak for an answer (Selvaraju et al., 2017)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F


def grad_cam(last: torch.Tensor, judge: Callable[[torch.Tensor], torch.Tensor], label: int, shape: tuple[int, int]) -> torch.Tensor:
    """(1, C, Y, X), a network's last map, to ``shape`` float32: the evidence for ``label`` against the other classes, never below 0.

    ``judge`` makes (1, classes) logits of the map. Gradients stop at the map: the pass costs little more than a forward one.
    """
    with torch.enable_grad():
        last = last.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.log_softmax(judge(last).float(), dim=1)[0, label], last)
    heat = (slope * last.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(heat, size=shape, mode="bilinear", align_corners=False)[0, 0]
