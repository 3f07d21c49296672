"""Varies skin tone, resolution, sharpness and compression of random views: properties of patient and camera, not of the lesion."""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from training.dermoscopy.transfer.artefacts import draw_chosen

TONE, LOW_RESOLUTION, BLURRED, COMPRESSED = 0.25, 0.15, 0.1, 0.15  # share of the views that get each
LEAST_PX = 64  # of the smallest simulated image
JPEG_QUALITY = (25, 96)
DARKENING = torch.tensor([0.75, 1.0, 1.15])  # melanin absorbs blue more than red (exponents of the three channels, relative)
CHROMA = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # RGB to YIQ


def shift_tone(images: torch.Tensor, generator: torch.Generator, share: float = TONE) -> torch.Tensor:
    """(B, 3, S, S) float 0..255: lightness by a power between 0.75 and 2.0 and hue by at most 8 degrees, on a random ``share``.

    The darkest is about two bands of the individual typology angle below the skin of HAM10000.
    """
    count = len(images)
    drawn = torch.rand(count, 3, generator=generator)
    changed = (drawn[:, 0] < share).float()
    power = torch.exp(changed * (math.log(0.75) + drawn[:, 1] * (math.log(2.0) - math.log(0.75))))
    exponent = torch.where(power[:, None] > 1, 1 + (power[:, None] - 1) * DARKENING, power[:, None].expand(-1, 3))
    toned = (images / 255).clamp(0, 1) ** exponent[:, :, None, None]
    angle = changed * (drawn[:, 2] * 2 - 1) * math.radians(8)
    turn = torch.zeros(count, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = torch.cos(angle)
    turn[:, 1, 2], turn[:, 2, 1] = -torch.sin(angle), torch.sin(angle)
    matrix = torch.linalg.inv(CHROMA) @ turn @ CHROMA
    return (torch.einsum("bij,bjyx->biyx", matrix, toned) * 255).clamp_(0, 255)


def reduce_resolution(images: torch.Tensor, generator: torch.Generator, share: float = LOW_RESOLUTION) -> torch.Tensor:
    """(B, 3, S, S) in place: reduced to ``LEAST_PX``..S pixels and enlarged again, on a random ``share``."""
    side = images.shape[-1]
    for place in draw_chosen(len(images), share, generator):
        small = int(torch.randint(min(LEAST_PX, side), side + 1, (1,), generator=generator))
        reduced = F.interpolate(images[place][None], (small, small), mode="bilinear", antialias=True, align_corners=False)
        images[place] = F.interpolate(reduced, (side, side), mode="bilinear", align_corners=False)[0]
    return images


def gaussian_blur(images: torch.Tensor, generator: torch.Generator, share: float = BLURRED) -> torch.Tensor:
    """(B, 3, S, S) in place: a Gaussian of 0.5 to 1.8 pixels on a random ``share``."""
    offsets = torch.arange(-4, 5, dtype=torch.float32)
    for place in draw_chosen(len(images), share, generator):
        sigma = 0.5 + 1.3 * float(torch.rand(1, generator=generator))
        line = torch.exp(-(offsets**2) / (2 * sigma**2))
        line = line / line.sum()
        padded = F.pad(images[place][None], (4, 4, 4, 4), mode="reflect")
        across = F.conv2d(padded, line.view(1, 1, 1, 9).expand(3, 1, 1, 9), groups=3)
        images[place] = F.conv2d(across, line.view(1, 1, 9, 1).expand(3, 1, 9, 1), groups=3)[0]
    return images


def recompress(images: torch.Tensor, generator: torch.Generator, share: float = COMPRESSED) -> torch.Tensor:
    """(B, 3, S, S) float 0..255, in place: through JPEG of a random quality, on a random ``share``."""
    for place in draw_chosen(len(images), share, generator):
        quality = int(torch.randint(*JPEG_QUALITY, (1,), generator=generator))
        buffer = io.BytesIO()
        pixels = images[place].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "JPEG", quality=quality)
        images[place] = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1).float()
    return images
