"""Random views of lesions as batched tensor operations."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from models.dermoscopy.patient import AGE, SEX, SITE
from training.dermoscopy.hair_and_ink import overlay


def affine(images: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """(B, C, Y, X) float to (B, C, side, side): mirrored, turned by any angle, zoomed by 0.8..1.25, shifted a little.

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


def colour(images: torch.Tensor, generator: torch.Generator, white_balance: float) -> torch.Tensor:
    """Brightness, contrast, saturation and the gain of each channel (by at most ``white_balance``), values 0..255."""
    count = images.shape[0]

    def gain(width: float, channels: int = 1) -> torch.Tensor:
        return 1 + (torch.rand(count, channels, 1, 1, generator=generator) * 2 - 1) * width

    images = images * gain(0.15) * gain(white_balance, 3)
    mean = images.mean(dim=(2, 3), keepdim=True)
    images = (images - mean) * gain(0.2) + mean
    grey = images.mean(dim=1, keepdim=True)
    return ((images - grey) * gain(0.2) + grey).clamp_(0, 255)


def blur(images: torch.Tensor, generator: torch.Generator, share: float = 0.25) -> torch.Tensor:
    """A 3 x 3 binomial blur on a random ``share`` of the batch: sharpness must not decide."""
    chosen = torch.rand(images.shape[0], generator=generator) < share
    if bool(chosen.any()):
        line = torch.tensor([0.25, 0.5, 0.25])
        kernel = (line[:, None] * line[None, :]).expand(3, 1, 3, 3)
        images[chosen] = F.conv2d(F.pad(images[chosen], (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
    return images


def augment(images: torch.Tensor, side: int, generator: torch.Generator, white_balance: float = 0.06) -> torch.Tensor:
    """(B, 3, Y, X) float 0..255 to (B, 3, side, side), random in view, hairs, ink, colour and sharpness."""
    return blur(colour(overlay(affine(images, side, generator), generator), generator, white_balance), generator)


def augment_outlined(
    images: torch.Tensor, masks: torch.Tensor, side: int, generator: torch.Generator, white_balance: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``augment``, with the lesion's masks (B, Y, X) moved alike: (B, 3, side, side) and (B, side, side) in 0..1."""
    moved = affine(torch.cat([images, masks[:, None].float()], 1), side, generator)
    views = overlay(moved[:, :3].contiguous(), generator)
    return blur(colour(views, generator, white_balance), generator), moved[:, 3]


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch whose images are made of two: ``share`` of the first (B,), the rest of the image at place ``other`` (B,)."""

    images: torch.Tensor
    masks: torch.Tensor
    facts: torch.Tensor
    other: torch.Tensor
    share: float


def mix(images: torch.Tensor, masks: torch.Tensor, facts: torch.Tensor, draws: np.random.Generator, chance: float) -> Mixed:
    """With ``chance`` blend every image with another of the batch (mixup, Zhang 2018) or paste a box of it (CutMix, Yun 2019).

    Both in half of the cases; masks and the patient's facts go with the pixels.
    """
    count, side = len(images), images.shape[-1]
    dice, other = draws.random(), torch.from_numpy(draws.permutation(count))
    if dice >= chance:
        return Mixed(images, masks, facts, other, 1.0)
    if dice < chance / 2:
        share = float(draws.beta(0.4, 0.4))
        images = images * share + images[other] * (1 - share)
        masks = masks * share + masks[other] * (1 - share)
    else:
        half = math.sqrt(1 - draws.beta(1.0, 1.0)) * side / 2
        y, x = draws.uniform(0, side, 2)
        top, left = max(0, round(y - half)), max(0, round(x - half))
        box = (slice(top, min(side, round(y + half))), slice(left, min(side, round(x + half))))
        images, masks = images.clone(), masks.clone()
        images[:, :, box[0], box[1]] = images[other][:, :, box[0], box[1]]
        masks[:, box[0], box[1]] = masks[other][:, box[0], box[1]]
        share = 1 - (box[0].stop - box[0].start) * (box[1].stop - box[1].start) / side**2
    return Mixed(images, masks, facts * share + facts[other] * (1 - share), other, share)


def forget(facts: torch.Tensor, draws: np.random.Generator, chance: float) -> torch.Tensor:
    """Drop everything known of a patient with ``chance``, and each of age, sex and site with half of it: all may be missing."""
    kept = facts.clone()
    whole = draws.random(len(facts)) < chance
    for place in (AGE, SEX, SITE):
        gone = whole | (draws.random(len(facts)) < chance / 2)
        kept[torch.from_numpy(gone), place] = 0.0
    return kept
