"""Grad-CAM: the parts of an image that support an answer (Selvaraju et al., 2017, element-wise).

The gradient of the class's log-probability with respect to a feature map weighs that map.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from core.errors import NonFiniteOutput
from models.finite_prediction import HINT


def grad_cam(last: torch.Tensor, head: Callable[[torch.Tensor], torch.Tensor], label: int, shape: tuple[int, int]) -> torch.Tensor:
    """Evidence for class ``label`` against the other classes, never below 0: (Y, X) float32 of ``shape``.

    ``last`` (1, C, Y, X) is the network's last feature map and ``head`` computes (1, classes) logits from it. Gradients stop at the
    map, so that the pass costs little more than a forward one.
    """
    with torch.enable_grad():
        last = last.detach().requires_grad_()
        slope = _slope(head(last), label, "softmax", last)
    return _weighed(last, slope, shape)[0]


def layer_grad_cam(net: torch.nn.Module, layer: str, image: Any, label: int, activation: str) -> torch.Tensor:
    """As ``grad_cam``, with the output of the layer of that name, on the network's input grid: (1, X, Y) or (1, X, Y, Z) float32.

    ``image``: (C, X, Y) or (C, X, Y, Z); ``activation``: "softmax", or "sigmoid" for classes that do not exclude each other.
    """
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _given: Any, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().clone().requires_grad_())
        return kept[0].clone()  # a later layer may work in place

    hook = net.get_submodule(layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            slope = _slope(net(torch.as_tensor(image)[None]), label, activation, kept[0])
    finally:
        hook.remove()
    return _weighed(kept[0], slope, tuple(image.shape[1:]))


def _slope(logits: torch.Tensor, label: int, activation: str, features: torch.Tensor) -> torch.Tensor:
    """The gradient of the log-probability of class ``label`` with respect to ``features``."""
    value = F.log_softmax(logits.float(), 1) if activation == "softmax" else F.logsigmoid(logits.float())
    (slope,) = torch.autograd.grad(value[0, label], features)
    return slope


def _weighed(features: torch.Tensor, slope: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """(1, C, ...) features weighed by their gradient, (1, ``shape``)."""
    heat = (slope * features.detach()).sum(1, keepdim=True).relu()
    mode = "bilinear" if heat.ndim == 4 else "trilinear"
    return F.interpolate(heat, size=tuple(shape), mode=mode, align_corners=False)[0]


def scale_to_unit(heat: np.ndarray) -> np.ndarray:
    """float32 divided by its maximum; negative values become 0, and a map without positive values stays 0.

    Raises
    ------
    NonFiniteOutput
        A value is NaN or infinite: divided by it, the whole map would be.
    """
    if not np.isfinite(heat).all():
        raise NonFiniteOutput("the map of the evidence holds values that are no numbers", hint=HINT)
    positive = np.maximum(heat, 0.0).astype(np.float32)
    top = float(positive.max(initial=0.0))
    return np.asarray(positive / np.float32(top)) if top > 0 else positive


def evidence_meaning(name: str) -> str:
    """What a viewer says of the map for a class, which is scaled to its strongest place; ``name`` is that of the class's code."""
    return f"evidence for: {name} (Grad-CAM); 1 is the strongest place, no probability"
