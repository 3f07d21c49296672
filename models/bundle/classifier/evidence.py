"""Grad-CAM of an imported classifier, mapped back through its pre-processing to the grid of the image."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from models.image_maps import scale_to_unit


def class_evidence(net: torch.nn.Module, layer: str, image: Any, label: int, activation: str) -> torch.Tensor:
    """Evidence for class ``label``, never below 0, on the network's input grid: (1, X, Y) or (1, X, Y, Z) float32.

    The gradient of the class's log-probability with respect to the output of ``layer`` weighs its feature maps (Selvaraju et al., 2017,
    element-wise). ``image``: (C, X, Y) or (C, X, Y, Z).
    """
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _given: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()  # a later layer may work in place

    hook = net.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            logits = net(torch.as_tensor(image)[None])
            value = F.log_softmax(logits.float(), 1) if activation == "softmax" else F.logsigmoid(logits.float())
            (slope,) = torch.autograd.grad(value[0, label], kept[0])
    finally:
        hook.remove()
    heat = (slope * kept[0].detach()).sum(1, keepdim=True).relu()
    mode = "bilinear" if heat.ndim == 4 else "trilinear"
    return F.interpolate(heat, size=tuple(image.shape[1:]), mode=mode, align_corners=False)[0]


def undo_steps(heat: torch.Tensor, image: Any, steps: Any) -> npt.NDArray[np.float32]:
    """``heat`` on the grid that the first step of pre-processing received, 0..1; 0 where a crop removed the image.

    ``image``: the MetaTensor that ``steps`` made; it knows which spatial transforms were applied.
    """
    from monai.data.meta_tensor import MetaTensor

    carrier = MetaTensor(heat.cpu(), meta=image.meta, applied_operations=list(image.applied_operations))
    return scale_to_unit(np.asarray(steps.inverse(carrier)[0], np.float32))
