"""Random views of the images for the transfer learning."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from training.dermoscopy.transfer.appearance import gaussian_blur, recompress, reduce_resolution, shift_tone
from training.dermoscopy.transfer.artefacts import add_rulers, add_vignettes
from training.dermoscopy.views.augment import random_colour
from training.dermoscopy.views.hair_and_ink import overlay_hair_and_ink

WHITE_BALANCE = 0.1
HAIR, INK = 0.15, 0.06  # share of the views that get each
BANK_PX = 256  # of the drawings of hairs and ink
ZOOM = (0.75, 1.3)
MARGIN = 1.15  # an image is first reduced to so much more than the side, with antialiasing


def random_views(pixels: np.ndarray, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, Y, X, 3) uint8 to (B, 3, side, side) float32 in 0..255, different every time.

    In the order in which they arise: position of the camera, skin, objects on it, light, lens, sensor, file.
    """
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    if images.shape[-1] > side * MARGIN:
        reduced = round(side * MARGIN)
        images = F.interpolate(images, (reduced, reduced), mode="bilinear", antialias=True, align_corners=False)
    views = random_placement(images.float(), side, generator).contiguous()
    views = shift_tone(views, generator)
    views = add_rulers(overlay_hair_and_ink(views, generator, HAIR, INK, BANK_PX), generator)
    views = add_vignettes(random_colour(views, generator, WHITE_BALANCE), generator)
    return recompress(gaussian_blur(reduce_resolution(views, generator), generator), generator)


def random_placement(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, C, Y, X) float to (B, C, side, side): mirrored, turned by any angle, zoomed by ``ZOOM``, stretched and shifted a little.

    Without zoom the whole image is seen; beyond the border it is reflected.
    """
    count = images.shape[0]

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, stretch = uniform(0.0, 2 * math.pi), torch.exp(uniform(-0.1, 0.1))
    zoom = torch.exp(uniform(math.log(ZOOM[0]), math.log(ZOOM[1])))
    mirror = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    row_x = torch.stack([cos * stretch * mirror, -sin / stretch, uniform(-0.12, 0.12)], 1)
    row_y = torch.stack([sin * stretch * mirror, cos / stretch, uniform(-0.12, 0.12)], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [count, images.shape[1], side, side], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
