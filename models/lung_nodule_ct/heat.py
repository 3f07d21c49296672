"""The first stage on a whole volume: lung field, 1 mm grid, sliding window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from monai.data.utils import compute_importance_map
from torch import nn

from models.batch_halves import run_in_halves
from models.ct import isotropic_grid as grids
from models.ct.isotropic_grid import Float, ResamplingGrid, Spacing
from models.ct.lung_field import LungField, Mask
from models.torch_threads import map_on_cores

WINDOW = 96
OVERLAP = 0.25
BATCH = 8  # windows that are computed at once on CUDA, and held at once on the CPU
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
    return NoduleHeat(blend_windows(image, field, partial(_window_heats, network, device), tick), image, grid, lungs)


def blend_windows(
    image: Float, field: Mask, run: Callable[[Sequence[Float]], Sequence[Float]], tick: Callable[[], None] | None = None
) -> Float:
    """The mean of overlapping windows of ``image``, weighted by a Gaussian, (Z, Y, X) float32; zero outside ``field``.

    ``run`` computes windows (WINDOW, WINDOW, WINDOW) of one batch; windows without a voxel of the field are left out. The windows lie and
    are weighted as in ``monai.inferers.sliding_window_inference``, which needs four times the memory.
    """
    short = [max(WINDOW - size, 0) for size in image.shape]
    pads = [(size // 2, size - size // 2) for size in short]
    if any(short):
        padded = blend_windows(np.pad(image, pads, mode="edge"), np.pad(field, pads, mode="edge"), run, tick)
        return padded[tuple(slice(before, before + size) for (before, _), size in zip(pads, image.shape, strict=True))] * field
    places = [place for place in window_places(image.shape) if field[place].any()]
    weight = compute_importance_map((WINDOW, WINDOW, WINDOW), mode="gaussian", sigma_scale=0.125).numpy()
    heat, total = np.zeros(image.shape, np.float32), np.zeros(image.shape, np.float32)
    for start in range(0, len(places), BATCH):
        if tick is not None:
            tick()
        batch = places[start : start + BATCH]
        for place, found in zip(batch, run([image[place] for place in batch]), strict=True):
            heat[place] += found * weight
            total[place] += weight
    return np.divide(heat, total, out=np.zeros_like(heat), where=field)


def window_places(shape: Sequence[int]) -> list[tuple[slice, ...]]:
    """Windows that cover ``shape`` (Z, Y, X), of at least WINDOW voxels each, with the overlap; the last ones are moved inwards."""
    step = int(WINDOW * (1 - OVERLAP))
    starts = [[min(start, size - WINDOW) for start in range(0, size - WINDOW + step, step)] for size in shape]
    return [tuple(slice(start, start + WINDOW) for start in corner) for corner in product(*starts)]


def _window_heats(network: nn.Module, device: str, windows: Sequence[Float]) -> Sequence[Float]:
    """Heat of a batch of windows: one by one on all cores, in half precision at once on CUDA."""
    if device == "cuda":
        images = torch.from_numpy(np.stack(windows)[:, None])
        parts = run_in_halves(lambda part: _run(network, images[part].to(device)), len(images))
        return list(np.concatenate(parts)[:, 0])
    return map_on_cores(lambda window: _run(network, torch.from_numpy(window[None, None].copy()))[0, 0], windows, 1)


@torch.inference_mode()
def _run(network: nn.Module, images: torch.Tensor) -> Float:
    with torch.autocast("cuda", dtype=torch.float16, enabled=images.is_cuda):
        heat: Float = torch.sigmoid(network(images).float()).cpu().numpy()
    return heat
