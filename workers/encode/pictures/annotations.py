"""Annotations on a picture: outlines, circles, lines and text. A dark rim keeps them visible on any background."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from workers.encode.pictures.colours import BLACK, INK, OUTLINE, Rgb
from workers.encode.pictures.fonts import font

Point = tuple[float, float]
DASH = 8.0  # pixels of a dash, and of the gap behind it


def draw_outline(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], *, width: int = 2, colour: Rgb = OUTLINE) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 with a line around a mask (Y, X), outside of it, so that the edge stays visible."""
    line, rim = dilate(mask, width + 1), dilate(mask, width + 2)
    result = rgb.copy()
    result[rim & ~dilate(mask, 1)] = BLACK
    result[line & ~dilate(mask, 1)] = colour
    return result


def dilate(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The mask and all pixels at most ``steps`` from it; by sides and corners in turn, which is nearly round."""
    result = mask.copy()
    for step in range(steps):
        padded = np.pad(result, 1)
        near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        if step % 2:
            near |= padded[:-2, :-2] | padded[2:, 2:] | padded[:-2, 2:] | padded[2:, :-2]
        result |= near
    return result


def draw_circle(image: Image.Image, centre: Point, radius: float, label: str = "", *, colour: Rgb = OUTLINE) -> None:
    """A circle, with a label beside it that stays inside the picture."""
    draw = ImageDraw.Draw(image)
    x, y = centre
    for grow, width, shade in ((1.0, 5, BLACK), (0.0, 3, colour)):
        reach = radius + grow
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=shade, width=width)
    if label:
        size = 24
        wide = draw.textlength(label, font(size, True))
        left = x + radius + 6 if x + radius + 8 + wide < image.width else x - radius - 8 - wide
        top = min(max(y - radius - size, 2), image.height - size - 6)
        draw_text(image, (left, top), label, size=size, colour=colour, bold=True)


def draw_text(image: Image.Image, corner: Point, words: str, *, size: int = 18, colour: Rgb = INK, bold: bool = False) -> None:
    """Text with a dark rim, its upper left corner at ``corner``."""
    ImageDraw.Draw(image).text(corner, words, font=font(size, bold), fill=colour, stroke_width=2, stroke_fill=BLACK)


def draw_dashed_line(image: Image.Image, start: Point, end: Point) -> None:
    """A dashed line, which shows where the plane of another picture lies."""
    draw = ImageDraw.Draw(image)
    a, b = np.array(start), np.array(end)
    length = float(np.linalg.norm(b - a))
    for begin in np.arange(0.0, length, 2 * DASH):
        p, q = a + (b - a) * begin / length, a + (b - a) * min(begin + DASH, length) / length
        draw.line((*p.tolist(), *q.tolist()), fill=OUTLINE, width=1)


def draw_directions(image: Image.Image, top: str, right: str, bottom: str, left: str) -> None:
    """Letters of directions in the patient at the four edges."""
    draw = ImageDraw.Draw(image)
    size = 18
    for letter, x, y in (
        (top, image.width / 2, 4),
        (bottom, image.width / 2, image.height - size - 8),
        (left, 6, image.height / 2 - size / 2),
        (right, image.width - 6, image.height / 2 - size / 2),
    ):
        wide = draw.textlength(letter, font(size, True))
        shift = {left: 0.0, right: wide}.get(letter, wide / 2) if y == image.height / 2 - size / 2 else wide / 2
        draw_text(image, (x - shift, y), letter, size=size, bold=True)
