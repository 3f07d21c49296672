"""Grad-CAM: which parts of the image speak for an answer (Selvaraju et al., 2017)."""

import torch
import torch.nn.functional as F

from models.dermoscopy.network import LesionNet


def grad_cam(net: LesionNet, image: torch.Tensor, facts: torch.Tensor, label: int) -> torch.Tensor:
    """(1, 3, S, S) and (1, facts) to (S, S) float32: the evidence for class ``label`` against the others, negative parts cut off.

    On the last map. It is coarse, but covering what it marks takes more from the answer than covering what finer maps
    mark, and it marks less beside the lesion. Gradients stop at that map: the pass costs little more than a forward one.
    """
    with torch.no_grad():
        last = net.maps(image)[-1]
    with torch.enable_grad():
        last = last.detach().requires_grad_()
        logits = net.judge(last, facts)
        (slope,) = torch.autograd.grad(F.log_softmax(logits.float(), dim=1)[0, label], last)
    heat = (slope * last.detach()).sum(1, keepdim=True).relu()
    return F.interpolate(heat, size=image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
