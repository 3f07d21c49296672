"""The first stage on a whole volume: lung field, 1 mm grid, sliding window."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from models.batch_halves import run_in_halves
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, ResamplingGrid, Spacing
from models.ct.lung_field import LungField

WINDOW = 96
OVERLAP = 0.25
MARGIN_MM = 8.0


@dataclass(frozen=True, slots=True)
class NoduleHeat:
    """The first stage's output 0..1 (float32, (Z, Y, X)) on ``grid``, zero outside the lung field, and its input ``image``."""

    values: Float
    image: Float
    grid: ResamplingGrid
    lungs: LungField


def compute_heat(
    lungs: LungField,
    network: nn.Module,
    hu: npt.NDArray[np.int16],
    spacing_mm: Spacing,
    device: str,
    tick: Callable[[], None] | None = None,
) -> NoduleHeat:
    """Run the network over the box around the lungs. ``tick`` is called before every batch of windows."""
    low, high = lungs.native_box(hu.shape, MARGIN_MM)
    grid = grids.grid_over_box(low, high, spacing_mm)
    field = lungs.on_grid(lungs.field, grid)
    image = grids.normalise(grids.resample(hu, grid))
    values = torch.from_numpy(np.stack([image, field.astype(np.float32)]))[None]
    on_cuda = device == "cuda"

    def predict_windows(windows: torch.Tensor) -> torch.Tensor:
        """Heat of (N, 2, ...) windows; the second channel is the lung field, so that windows without lung are not computed."""
        if tick is not None:
            tick()
        heat = torch.zeros_like(windows[:, :1])
        with_lung = windows[:, 1].flatten(1).any(dim=1)
        if bool(with_lung.any()):
            images = windows[with_lung, :1]
            with torch.autocast("cuda", dtype=torch.float16, enabled=on_cuda):
                parts = run_in_halves(lambda part: torch.sigmoid(network(images[part].to(device)).float()).cpu(), len(images))
            heat[with_lung] = torch.cat(parts)
        return heat

    with torch.inference_mode():
        heat = sliding_window_inference(
            values,
            (WINDOW, WINDOW, WINDOW),
            8 if on_cuda else 1,
            predict_windows,
            overlap=OVERLAP,
            mode="gaussian",
            padding_mode="replicate",
        )
    result: Float = heat[0, 0].numpy() * field  # type: ignore[call-overload]
    return NoduleHeat(result, image, grid, lungs)
