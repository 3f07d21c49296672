"""Draws hairs and ink over random views, so that they do not become features."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw

BANK = 64  # drawings of each kind
BANK_PX = 192
HAIR, INK = 0.25, 0.08  # share of the views that get each


def overlay_hair_and_ink(
    images: torch.Tensor, generator: torch.Generator, hair: float = HAIR, ink: float = INK, bank_px: int = BANK_PX
) -> torch.Tensor:
    """(B, 3, S, S) float 0..255, in place: hairs over the share ``hair`` of the views, strokes of a skin marker over the share ``ink``.

    ``bank_px``: side of the drawings that a view's part is taken from, at least S.
    """
    for share, drawings, random_colour in ((hair, hair_drawings(bank_px), hair_colour), (ink, ink_drawings(bank_px), ink_colour)):
        for place in torch.flatten(torch.nonzero(torch.rand(len(images), generator=generator) < share)).tolist():
            cover = random_window(drawings, images.shape[-1], generator)
            colour, opacity = random_colour(generator)
            images[place].lerp_(colour[:, None, None].expand_as(images[place]), cover * opacity)
    return images


def random_window(drawings: torch.Tensor, side: int, generator: torch.Generator) -> torch.Tensor:
    """A random part of one of the drawings (N, Y, X) uint8, mirrored or turned: (side, side) float 0..1."""
    reach = drawings.shape[-1] - side + 1
    which, top, left, turn = (int(torch.randint(0, n, (1,), generator=generator)) for n in (len(drawings), reach, reach, 8))
    cut = drawings[which, top : top + side, left : left + side]
    cut = cut.T if turn & 4 else cut
    return cut.flip([axis for axis in (0, 1) if turn >> axis & 1]).float() / 255


def hair_colour(generator: torch.Generator) -> tuple[torch.Tensor, float]:
    """Black, brown, blond or grey, and how opaque."""
    shade, tint, opacity = torch.rand(3, generator=generator).tolist()
    base = 20 + 150 * shade**2
    return torch.tensor([base * (1 + 0.3 * tint), base, base * (1 - 0.3 * tint)]), 0.5 + 0.5 * opacity


def ink_colour(generator: torch.Generator) -> tuple[torch.Tensor, float]:
    """Gentian violet, blue or black, and how opaque."""
    red, green, blue, opacity = torch.rand(4, generator=generator).tolist()
    return torch.tensor([30 + 80 * red, 20 + 60 * green, 60 + 110 * blue]), 0.3 + 0.5 * opacity


@cache
def hair_drawings(bank_px: int = BANK_PX) -> torch.Tensor:
    """(BANK, bank_px, bank_px) uint8: 2 to 30 thin curves each."""
    return draw_lines(bank_px, 1, lambda rng: int(rng.integers(2, 31)), (1, 4), 0.25)


@cache
def ink_drawings(bank_px: int = BANK_PX) -> torch.Tensor:
    """(BANK, bank_px, bank_px) uint8: one to three broad strokes each."""
    return draw_lines(bank_px, 2, lambda rng: int(rng.integers(1, 4)), (8, 36), 0.6)


def draw_lines(
    bank_px: int, seed: int, how_many: Callable[[np.random.Generator], int], widths: tuple[int, int], bend: float
) -> torch.Tensor:
    """``BANK`` drawings of bent lines (quadratic Bezier curves), drawn at twice the size and reduced, which softens them."""
    drawings = []
    for number in range(BANK):
        rng = np.random.default_rng([seed, number])
        side = bank_px * 2
        page = Image.new("L", (side, side))
        pen = ImageDraw.Draw(page)
        for _ in range(how_many(rng)):
            start = rng.uniform(-0.1, 1.1, 2) * side
            angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.0) * side
            end = start + length * np.array([np.cos(angle), np.sin(angle)])
            middle = (start + end) / 2 + rng.uniform(-bend, bend, 2) * length
            t = np.linspace(0, 1, 24)[:, None]
            curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
            pen.line([(float(x), float(y)) for x, y in curve], fill=255, width=int(rng.integers(*widths)), joint="curve")
        drawings.append(np.asarray(page.resize((bank_px, bank_px), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(drawings))
