"""Draws pictures by seed that no model may accept: noise, skin without a lesion, pages, textures, a chest in grey.

They are used to measure refusals, never to train or to set limits.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE = (300, 400)


def noise(rng: np.random.Generator) -> np.ndarray:
    """White, coloured, smoothed or salt noise around any colour, also around those of skin."""
    kind, centre = rng.integers(4), rng.uniform(40, 220, 3)
    if kind == 0:
        return rng.integers(0, 256, (*SIZE, 3)).astype(np.float64)
    if kind == 1:
        return np.asarray(centre + rng.normal(0, rng.uniform(15, 60), (*SIZE, 3)))
    if kind == 2:
        return np.asarray(centre + clouds(rng, int(rng.integers(8, 60)), 3) * rng.uniform(20, 60))
    salt = rng.random(SIZE) < rng.uniform(0.02, 0.3)
    return np.where(salt[..., None], rng.uniform(0, 255, (*SIZE, 3)), centre)


def plain_skin(rng: np.random.Generator) -> np.ndarray:
    """Skin from light to dark with pores, folds and vignetting, without a lesion."""
    light, dark = np.array([240.0, 200.0, 180.0]), np.array([110.0, 70.0, 50.0])
    tone = light + (dark - light) * rng.uniform(0, 1)
    image = tone + clouds(rng, 4, 1) * rng.uniform(2, 8) + clouds(rng, int(rng.integers(40, 120)), 1) * rng.uniform(1, 6)
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1 : 1 : SIZE[1] * 1j]
    folds = np.sin((x * np.cos(a := rng.uniform(0, 3.1)) + y * np.sin(a)) * rng.uniform(20, 70)) * rng.uniform(0, 5)
    fall = 1 - rng.uniform(0, 0.25) * (x**2 + y**2)
    return np.asarray((image + folds[..., None]) * fall[..., None] + rng.normal(0, 2, (*SIZE, 1)))


def document(rng: np.random.Generator) -> np.ndarray:
    """Lines of letters and boxes on paper of any tint, slightly rotated."""
    paper = tuple(int(v) for v in rng.integers(200, 256, 3))
    ink = tuple(int(v) for v in rng.integers(0, 90, 3))
    page = Image.new("RGB", (SIZE[1] * 2, SIZE[0] * 2), paper)
    draw = ImageDraw.Draw(page)
    for y in range(10, page.height, int(rng.integers(14, 30))):
        if rng.random() < 0.85:
            draw.text((float(rng.integers(5, 60)), y), "".join(chr(int(c)) for c in rng.integers(33, 122, 120)), fill=ink)
    for _ in range(int(rng.integers(0, 5))):
        left, top = float(rng.integers(0, page.width)), float(rng.integers(0, page.height))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        draw.rectangle((left, top, left + float(rng.integers(20, 200)), top + float(rng.integers(20, 120))), outline=ink, fill=colour)
    page = page.rotate(float(rng.uniform(-8, 8)), Image.Resampling.BILINEAR, fillcolor=paper)
    return np.asarray(page.resize((SIZE[1], SIZE[0]), Image.Resampling.LANCZOS), np.float64)


def texture(rng: np.random.Generator) -> np.ndarray:
    """Wood, weave, tiles, stripes, grass or bricks in any two colours."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]].astype(np.float64)
    angle, pitch = rng.uniform(0, np.pi), rng.uniform(6, 50)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.integers(6)
    if kind == 0:  # rings of wood
        value = np.sin(np.hypot(u / 6, v / 40 + clouds(rng, 5, 1)[..., 0] * 2) * 40 / pitch)
    elif kind == 1:  # weave
        value = np.sin(u * 6.28 / pitch) * np.sin(v * 6.28 / pitch)
    elif kind == 2:  # tiles
        value = np.where((np.floor(u / pitch) + np.floor(v / pitch)) % 2 == 0, 1.0, -1.0)
    elif kind == 3:  # stripes
        value = np.sign(np.sin(u * 6.28 / pitch))
    elif kind == 4:  # grass and fur
        blades = Image.fromarray((rng.normal(0, 1, SIZE)).astype(np.float32)).resize((SIZE[1], SIZE[0] // 8)).resize((SIZE[1], SIZE[0]))
        value = np.asarray(blades, np.float64)
    else:  # bricks
        row = np.floor(v / pitch)
        value = np.where((np.mod(v, pitch) < 3) | (np.mod(u + row % 2 * pitch, 2 * pitch) < 3), -1.0, 0.7)
    first, second = rng.uniform(20, 235, 3), rng.uniform(20, 235, 3)
    share = np.clip(0.5 + 0.5 * value, 0, 1)[..., None]
    return np.asarray(first * share + second * (1 - share) + rng.normal(0, rng.uniform(0, 10), (*SIZE, 1)))


def chest_ct(rng: np.random.Generator) -> np.ndarray:
    """A chest slice with body, lungs, spine and vessels, in grey or false colours."""
    y, x = np.mgrid[-1 : 1 : SIZE[0] * 1j, -1.33 : 1.33 : SIZE[1] * 1j]
    value = np.zeros(SIZE)
    value[(x / 1.0) ** 2 + (y / 0.75) ** 2 < 1] = rng.uniform(0.5, 0.8)
    for side in (-1, 1):
        value[((x - side * 0.45) / 0.33) ** 2 + (y / rng.uniform(0.4, 0.55)) ** 2 < 1] = rng.uniform(0.05, 0.2)
    value[x**2 + (y - 0.5) ** 2 < 0.02] = 1.0
    for _ in range(40):
        cx, cy, r = rng.uniform(-0.8, 0.8), rng.uniform(-0.5, 0.5), rng.uniform(0.005, 0.03)
        value[(x - cx) ** 2 + (y - cy) ** 2 < r**2] = 0.7
    value = np.clip(value + rng.normal(0, 0.03, SIZE), 0, 1)
    kind = rng.integers(3)
    if kind == 0:
        return np.repeat(value[..., None] * 255, 3, axis=2)
    if kind == 1:  # hot iron
        return np.stack([np.clip(value * 3 - k, 0, 1) for k in range(3)], axis=2) * 255
    return value[..., None] * rng.uniform(120, 255, 3)  # a tinted screen


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "chest_ct": chest_ct,
    "noise": noise,
    "plain_skin": plain_skin,
    "document": document,
    "texture": texture,
}


def clouds(rng: np.random.Generator, cells: int, channels: int) -> np.ndarray:
    """(Y, X, channels) smooth noise with a standard deviation near 1, ``cells`` cells across."""
    planes = [
        np.asarray(
            Image.fromarray(rng.standard_normal((cells, cells * SIZE[1] // SIZE[0])).astype(np.float32)).resize(
                (SIZE[1], SIZE[0]), Image.Resampling.BICUBIC
            )
        )
        for _ in range(channels)
    ]
    return np.stack(planes, axis=2).astype(np.float64)


def draw_picture(kind: str, seed: int) -> np.ndarray:
    """One picture of ``kind``, (300, 400, 3) uint8; half of the seeds are slightly blurred."""
    rng = np.random.default_rng([seed, sorted(KINDS).index(kind)])
    image = Image.fromarray(np.clip(KINDS[kind](rng), 0, 255).astype(np.uint8))
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 1.5))))
    return np.asarray(image)
