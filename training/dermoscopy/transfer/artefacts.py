"""Draws rulers and dark corners over random views, so that they do not become features. Hairs and ink: ``views.hair_and_ink``."""

import math
from functools import cache

import torch

RULER, VIGNETTE = 0.08, 0.15  # share of the views that get each
RULER_BANK = 32
RULER_PX = 256


def add_rulers(images: torch.Tensor, generator: torch.Generator, share: float = RULER) -> torch.Tensor:
    """(B, 3, S, S) float 0..255, in place: a line of ticks along one border, dark or light, on a random ``share``."""
    side = images.shape[-1]
    for place in draw_chosen(len(images), share, generator):
        which, shift, turn = (int(torch.randint(0, n, (1,), generator=generator)) for n in (RULER_BANK, RULER_PX - side + 1, 4))
        cover = torch.rot90(ruler_drawings()[which, :side, shift : shift + side], turn)
        shade, opacity = torch.rand(2, generator=generator).tolist()
        value = 20.0 + 60.0 * shade if shade < 0.7 else 200.0 + 50.0 * shade
        images[place].lerp_(torch.full_like(images[place], value), cover * (0.4 + 0.6 * opacity))
    return images


@cache
def ruler_drawings() -> torch.Tensor:
    """(RULER_BANK, RULER_PX, RULER_PX) float 0..1: equally spaced ticks, every fifth or tenth longer, at some distance from the top."""
    bank = torch.zeros(RULER_BANK, RULER_PX, RULER_PX)
    generator = torch.Generator().manual_seed(3)
    for drawing in bank:
        spacing, top, length, thick, every = (
            int(torch.randint(low, high, (1,), generator=generator)) for low, high in ((4, 16), (0, 24), (3, 10), (1, 3), (0, 2))
        )
        for number, left in enumerate(range(0, RULER_PX, spacing)):
            longer = number % (5 if every else 10) == 0
            drawing[top : top + length * (2 if longer else 1), left : left + thick] = 1.0
        if every:
            drawing[top : top + 1] = 1.0
    return bank


def add_vignettes(images: torch.Tensor, generator: torch.Generator, share: float = VIGNETTE) -> torch.Tensor:
    """(B, 3, S, S) float 0..255, in place: darker towards the corners, from a soft shade to the black ring of a dermatoscope."""
    side = images.shape[-1]
    line = torch.linspace(-1, 1, side)
    for place in draw_chosen(len(images), share, generator):
        radius, soft, depth, y, x = torch.rand(5, generator=generator).tolist()
        distance = torch.sqrt((line[:, None] - 0.2 * (y - 0.5)) ** 2 + (line[None, :] - 0.2 * (x - 0.5)) ** 2)
        edge = 0.85 + 0.4 * radius
        shade = torch.sigmoid((distance - edge) * math.exp(1.0 + 3.0 * soft)) * (0.4 + 0.6 * depth)
        images[place].mul_(1 - shade)
    return images


def draw_chosen(count: int, share: float, generator: torch.Generator) -> list[int]:
    """The places of a random ``share`` of ``count`` images."""
    places: list[int] = torch.flatten(torch.nonzero(torch.rand(count, generator=generator) < share)).tolist()
    return places
