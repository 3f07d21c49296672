"""From a volume to a heat map: lung field, 1 mm grid, sliding window of the first stage."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.inferers.utils import sliding_window_inference
from torch import nn

from models.batch_halving import in_halves
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, Grid, Spacing
from models.ct.lung_field import LungField

WINDOW = 96
OVERLAP = 0.25
MARGIN_MM = 8.0


@dataclass(frozen=True, slots=True)
class Heat:
    """The network's answer 0..1 (float32, (Z, Y, X)) on ``grid``, zero outside the lung field, and the ``image`` it was given."""

    values: Float
    image: Float
    grid: Grid
    lungs: LungField


def heat_in(
    lungs: LungField,
    network: nn.Module,
    hu: npt.NDArray[np.int16],
    spacing_mm: Spacing,
    device: str,
    tick: Callable[[], None] | None = None,
) -> Heat:
    """Run the network over the box around the lungs. ``tick`` is called before every batch of windows."""
    low, high = lungs.box(hu.shape, MARGIN_MM)
    grid = grids.over(low, high, spacing_mm)
    field = lungs.on(lungs.field, grid)
    image = grids.normalise(grids.resample(hu, grid))
    values = torch.from_numpy(np.stack([image, field.astype(np.float32)]))[None]
    fast = device == "cuda"

    def window(part: torch.Tensor) -> torch.Tensor:
        """Heat of (N, 2, ...) windows: the image, and beside it the lung field, so that windows without lung cost nothing."""
        if tick is not None:
            tick()
        heat = torch.zeros_like(part[:, :1])
        lung = part[:, 1].flatten(1).any(dim=1)
        if bool(lung.any()):
            images = part[lung, :1]
            with torch.autocast("cuda", dtype=torch.float16, enabled=fast):
                heats = in_halves(lambda some: torch.sigmoid(network(images[some].to(device)).float()).cpu(), len(images))
            heat[lung] = torch.cat(heats)
        return heat

    with torch.inference_mode():
        heat = sliding_window_inference(
            values, (WINDOW, WINDOW, WINDOW), 8 if fast else 1, window, overlap=OVERLAP, mode="gaussian", padding_mode="replicate"
        )
    result: Float = heat[0, 0].numpy() * field  # type: ignore[call-overload]
    return Heat(result, image, grid, lungs)
