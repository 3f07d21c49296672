"""Where the evidence for an answer is: Grad-CAM of every member, brought back onto the slice's own grid."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from core.records import HeatMap
from imaging.masks import pack_heat_map
from models.grad_cam import grad_cam
from models.image_maps import to_unit
from models.lung_histology_ct.network import SliceNet
from models.lung_histology_ct.preprocess import SHAPE, Prepared, resized
from models.lung_histology_ct.probabilities import Calibration

GRID_PX = 4  # a series' map has one value for so many pixels


def heat(nets: Sequence[SliceNet], planes: np.ndarray, label: int, how: Calibration, device: str) -> np.ndarray:
    """(2, 96, 128) uint8 to (96, 128) float32 in 0..1: the mean over the members and over both questions, each scaled to 1."""
    total = np.zeros(SHAPE, np.float32)
    prior = torch.tensor(how.prior, device=device)
    odds = (prior[:-1].sum() / prior[-1]).log()

    def classes(logits: torch.Tensor) -> torch.Tensor:
        kind = F.log_softmax(logits[:, :-1] / how.kind + prior[:-1].log(), dim=1)
        there = logits[:, -1:] / how.presence + odds
        return torch.cat([kind + F.logsigmoid(there), F.logsigmoid(-there)], 1)

    for net in nets:
        with torch.no_grad():
            presence, kind = (maps[-1] for maps in net.maps(torch.from_numpy(planes[None]).to(device)))
        total += to_unit(grad_cam(presence, lambda one, n=net, k=kind: classes(n.judge(one, k)), label, SHAPE).cpu().numpy())  # type: ignore[misc]
        if label < len(how.prior) - 1:
            total += to_unit(grad_cam(kind, lambda one, n=net, p=presence: classes(n.judge(p, one)), label, SHAPE).cpu().numpy())  # type: ignore[misc]
    return to_unit(total)


def of_picture(nets: Sequence[SliceNet], prepared: Prepared, label: int, how: Calibration, device: str, meaning: str) -> HeatMap:
    """The map on the box of the lungs."""
    top, left, height, width = prepared.box
    y, x = height / SHAPE[0], width / SHAPE[1]
    found = heat(nets, prepared.planes, label, how, device)[None]
    return pack_heat_map(found, origin=(0.0, top + y / 2 - 0.5, left + x / 2 - 0.5), step=(1.0, y, x), meaning=meaning)


def of_series(
    nets: Sequence[SliceNet],
    taken: Mapping[int, Prepared],
    label: int,
    how: Calibration,
    device: str,
    shape: tuple[int, ...],
    meaning: str,
) -> HeatMap | None:
    """One plane for every slice from the first to the last that was judged, at their common distance; planes between are 0."""
    if not taken:
        return None
    places = list(taken)
    stride = int(np.gcd.reduce(np.diff(places))) if len(places) > 1 else 1
    rows, columns = shape[1] // GRID_PX, shape[2] // GRID_PX
    planes = np.zeros(((places[-1] - places[0]) // stride + 1, rows, columns), np.float32)
    for z, prepared in taken.items():
        top, left, height, width = (round(value / GRID_PX) for value in prepared.box)
        bottom, right = min(rows, top + max(1, height)), min(columns, left + max(1, width))
        found = heat(nets, prepared.planes, label, how, device)
        planes[(z - places[0]) // stride, top:bottom, left:right] = resized(found, (bottom - top, right - left))
    middle = (GRID_PX - 1) / 2
    step = (float(stride), float(GRID_PX), float(GRID_PX))
    return pack_heat_map(planes, origin=(float(places[0]), middle, middle), step=step, meaning=meaning)
