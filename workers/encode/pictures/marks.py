"""What is drawn on a picture: outlines, circles, letters. A dark rim keeps every mark visible on any ground."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from workers.encode.pictures.style import BLACK, INK, OUTLINE, Rgb, font

Point = tuple[float, float]


def outlined(rgb: NDArray[np.uint8], mask: NDArray[np.bool_], *, width: int = 2, colour: Rgb = OUTLINE) -> NDArray[np.uint8]:
    """(Y, X, 3) uint8 with a line around the mask (Y, X), outside of it, so that the edge itself stays visible."""
    line, rim = grown(mask, width + 1), grown(mask, width + 2)
    result = rgb.copy()
    result[rim & ~grown(mask, 1)] = BLACK
    result[line & ~grown(mask, 1)] = colour
    return result


def grown(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """The mask and all that is at most ``steps`` pixels from it (by sides and corners in turn: nearly round)."""
    result = mask.copy()
    for step in range(steps):
        padded = np.pad(result, 1)
        near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        if step % 2:
            near |= padded[:-2, :-2] | padded[2:, 2:] | padded[:-2, 2:] | padded[2:, :-2]
        result |= near
    return result


def circle(image: Image.Image, centre: Point, radius: float, label: str = "", *, colour: Rgb = OUTLINE) -> None:
    """A circle around a place, with a label beside it that stays inside the picture."""
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
        text(image, (left, top), label, size=size, colour=colour, bold=True)


def text(image: Image.Image, place: Point, words: str, *, size: int = 18, colour: Rgb = INK, bold: bool = False) -> None:
    """Words with a dark rim, their upper left corner at ``place``."""
    ImageDraw.Draw(image).text(place, words, font=font(size, bold), fill=colour, stroke_width=2, stroke_fill=BLACK)


def dashes(image: Image.Image, start: Point, end: Point, *, colour: Rgb = OUTLINE, dash: float = 8.0) -> None:
    """A broken line: where another picture is cut."""
    draw = ImageDraw.Draw(image)
    a, b = np.array(start), np.array(end)
    length = float(np.linalg.norm(b - a))
    for begin in np.arange(0.0, length, 2 * dash):
        p, q = a + (b - a) * begin / length, a + (b - a) * min(begin + dash, length) / length
        draw.line((*p.tolist(), *q.tolist()), fill=colour, width=1)


def sides(image: Image.Image, top: str, right: str, bottom: str, left: str) -> None:
    """Letters of the directions in the patient at the four edges."""
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
        text(image, (x - shift, y), letter, size=size, bold=True)
