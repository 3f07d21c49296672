"""Random geometry, colour and sharpness of lesions, as batched tensor operations."""

import math

import torch
import torch.nn.functional as F

from training.dermoscopy.views.hair_and_ink import overlay_hair_and_ink


def random_affine(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, C, Y, X) float to (B, C, side, side): mirrored, rotated by any angle, zoomed by 0.8..1.25 and shifted.

    Without zoom one output pixel covers one input pixel. Beyond the border the image is reflected.
    """
    count = images.shape[0]

    def uniform(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=generator) * (high - low) + low

    angle = uniform(0.0, 2 * math.pi)
    zoom = torch.exp(uniform(math.log(0.8), math.log(1.25)))
    stretch = torch.exp(uniform(-0.1, 0.1))
    mirror = (torch.rand(count, generator=generator) < 0.5).float() * 2 - 1
    share = side / images.shape[-1]
    cos, sin = torch.cos(angle) * zoom * share, torch.sin(angle) * zoom * share
    row_x = torch.stack([cos * stretch * mirror, -sin / stretch, uniform(-0.12, 0.12)], 1)
    row_y = torch.stack([sin * stretch * mirror, cos / stretch, uniform(-0.12, 0.12)], 1)
    grid = F.affine_grid(torch.stack([row_x, row_y], 1), [count, 3, side, side], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def random_colour(images: torch.Tensor, generator: torch.Generator, white_balance: float) -> torch.Tensor:
    """Vary brightness, contrast, saturation and the gain of each channel (by at most ``white_balance``); values 0..255."""
    count = images.shape[0]

    def gain(width: float, channels: int = 1) -> torch.Tensor:
        return 1 + (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * width

    images = images * gain(0.15) * gain(white_balance, 3)
    mean = images.mean(dim=(2, 3), keepdim=True)
    images = (images - mean) * gain(0.2) + mean
    grey = images.mean(dim=1, keepdim=True)
    return ((images - grey) * gain(0.2) + grey).clamp_(0, 255)


def random_blur(images: torch.Tensor, generator: torch.Generator, share: float = 0.25) -> torch.Tensor:
    """A 3 x 3 binomial blur on a random ``share`` of the batch, so that sharpness does not become a feature."""
    chosen = torch.rand(images.shape[0], generator=generator) < share
    if bool(chosen.any()):
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = (line[:, None] * line[None, :]).expand(3, 1, 3, 3)
        images[chosen] = F.conv2d(F.pad(images[chosen], (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    return images


def augment(images: torch.Tensor, side: int, generator: torch.Generator, white_balance: float = 0.06) -> torch.Tensor:
    """(B, 3, Y, X) float 0..255 to (B, 3, side, side), with random geometry, hairs, ink, colour and sharpness."""
    return random_blur(
        random_colour(overlay_hair_and_ink(random_affine(images, side, generator), generator), generator, white_balance), generator
    )


def augment_with_masks(
    images: torch.Tensor, masks: torch.Tensor, side: int, generator: torch.Generator, white_balance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``augment``, with the lesions' masks (B, Y, X) moved alike: (B, 3, side, side) and (B, side, side) in 0..1."""
    moved = random_affine(torch.cat([images, masks[:, None].float()], 1), side, generator)
    views = overlay_hair_and_ink(moved[:, :3].contiguous(), generator)
    return random_blur(random_colour(views, generator, white_balance), generator), moved[:, 3]
