"""Grad-CAM of every network of the ensemble, on the grid of the slice or series as it came."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from core.records import HeatMap
from imaging.masks import pack_heat_map
from models.classifier.heat_map import grad_cam, scale_to_unit
from models.lung_histology_ct.network import SliceNet, class_log_probabilities
from models.lung_histology_ct.preprocess import SHAPE, PreparedSlice, resize_plane
from models.lung_histology_ct.probabilities import Calibration

GRID_PX = 4  # a series' map has one value for this many pixels


def evidence(nets: Sequence[SliceNet], planes: np.ndarray, label: int, calibration: Calibration, device: str) -> np.ndarray:
    """(2, 96, 128) uint8 to (96, 128) float32 in 0..1: the mean over the networks and both questions, each scaled to 1."""
    total = np.zeros(SHAPE, np.float32)
    prior = torch.tensor(calibration.prior, device=device)

    def class_logits(logits: torch.Tensor) -> torch.Tensor:
        return class_log_probabilities(logits, prior, calibration.kind, calibration.presence)

    for net in nets:
        with torch.no_grad():
            presence, kind = (maps[-1] for maps in net.maps(torch.from_numpy(planes[None]).to(device)))
        heads = [(presence, lambda features, n=net, k=kind: class_logits(n.classify(features, k)))]
        if label < len(calibration.prior) - 1:
            heads.append((kind, lambda features, n=net, p=presence: class_logits(n.classify(p, features))))
        for features, head in heads:
            total += scale_to_unit(grad_cam(features, head, label, SHAPE).cpu().numpy())
    return scale_to_unit(total)


def picture_heat_map(
    nets: Sequence[SliceNet], prepared: PreparedSlice, label: int, calibration: Calibration, device: str, meaning: str
) -> HeatMap:
    """The map of one slice picture, on the box of the lungs."""
    top, left, height, width = prepared.box
    y, x = height / SHAPE[0], width / SHAPE[1]
    heat = evidence(nets, prepared.planes, label, calibration, device)[None]
    return pack_heat_map(heat, origin=(0.0, top + y / 2 - 0.5, left + x / 2 - 0.5), step=(1.0, y, x), meaning=meaning)


def series_heat_map(
    nets: Sequence[SliceNet],
    analysed: Mapping[int, PreparedSlice],
    label: int,
    calibration: Calibration,
    device: str,
    shape: tuple[int, ...],
    meaning: str,
) -> HeatMap | None:
    """One plane for every slice from the first to the last that was analysed, at their common distance; planes of other slices are 0."""
    if not analysed:
        return None
    places = list(analysed)
    stride = int(np.gcd.reduce(np.diff(places))) if len(places) > 1 else 1
    rows, columns = shape[1] // GRID_PX, shape[2] // GRID_PX
    planes = np.zeros(((places[-1] - places[0]) // stride + 1, rows, columns), np.float32)
    for z, prepared in analysed.items():
        top, left, height, width = (round(value / GRID_PX) for value in prepared.box)
        bottom, right = min(rows, top + max(1, height)), min(columns, left + max(1, width))
        heat = evidence(nets, prepared.planes, label, calibration, device)
        planes[(z - places[0]) // stride, top:bottom, left:right] = resize_plane(heat, (bottom - top, right - left))
    middle = (GRID_PX - 1) / 2
    step = (float(stride), float(GRID_PX), float(GRID_PX))
    return pack_heat_map(planes, origin=(float(places[0]), middle, middle), step=step, meaning=meaning)
