"""The images of all archives as one array, decoded once and mapped from disk, so that several processes share the memory."""

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.dermoscopy.data import CLASSES, read_jpegs
from models.dermoscopy.preprocess import centre_square
from training.dermoscopy_7class.archives import ARCHIVES, ISIC_ARCHIVE, Entry, Part

STORED_PX = 176  # sides of 128 and 160 are cut from it
ISIC_ASPECT = 4 / 3  # of most originals; their source stretched them to a square


@dataclass(frozen=True, slots=True)
class Images:
    """N images.

    ``pixels`` (N, STORED_PX, STORED_PX, 3) uint8 sRGB, the largest centred square; ``labels`` (N,) int64, index into CLASSES; ``archive``
    (N,) int64, index into ARCHIVES; ``facts`` (N, FACTS) float32, age, sex and site; ``groups`` (N,) text, the lesion.
    """

    entries: tuple[Entry, ...]
    pixels: np.ndarray
    labels: np.ndarray
    archive: np.ndarray
    facts: np.ndarray
    groups: np.ndarray

    def of(self, part: Part) -> np.ndarray:
        """Indices of the images of one part."""
        return np.flatnonzero([entry.part is part for entry in self.entries])


def load_images(data: Path, cache: Path, entries: Sequence[Entry], *, report: Callable[[str], None] = print) -> Images:
    """Decode into ``cache`` unless it holds exactly these images already."""
    path, index = cache / f"pixels-{STORED_PX}.npy", cache / f"pixels-{STORED_PX}.json"
    names = [entry.row.image_id for entry in entries]
    if not (index.is_file() and json.loads(index.read_text()) == names):
        cache.mkdir(parents=True, exist_ok=True)
        report(f"decoding {len(names)} images into {path}")
        jpegs = read_jpegs(data, [entry.row for entry in entries])
        part = path.with_suffix(".part")
        pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(len(names), STORED_PX, STORED_PX, 3))
        for place, entry in enumerate(entries):
            pixels[place] = decode(jpegs[entry.row.image_id], entry.row.archive)
        pixels.flush()
        os.replace(part, path)
        index.write_text(json.dumps(names))
    return Images(
        entries=tuple(entries),
        pixels=np.load(path, mmap_mode="r"),
        labels=np.array([CLASSES.index(entry.row.dx) for entry in entries]),
        archive=np.array([ARCHIVES.index(entry.row.archive) for entry in entries]),
        facts=np.stack([entry.row.patient.facts() for entry in entries]),
        groups=np.array([entry.row.lesion_id for entry in entries]),
    )


def decode(jpeg: bytes, archive: str) -> np.ndarray:
    """(STORED_PX, STORED_PX, 3) uint8: the largest centred square, as serving sees it."""
    square = centre_of(np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")), archive)
    return np.asarray(Image.fromarray(square).resize((STORED_PX, STORED_PX), Image.Resampling.BICUBIC))


def centre_of(rgb: np.ndarray, archive: str) -> np.ndarray:
    """The largest centred square of the original frame of (Y, X, 3) uint8.

    ISIC 2017's squares are stretched: their middle, three quarters of the width, is the centre square of an original of 4 to 3,
    made square again by enlarging its width.
    """
    if archive != ISIC_ARCHIVE:
        return np.ascontiguousarray(centre_square(rgb))
    height, width = rgb.shape[0], round(rgb.shape[1] / ISIC_ASPECT)
    left = (rgb.shape[1] - width) // 2
    middle = np.ascontiguousarray(rgb[:, left : left + width])
    return np.asarray(Image.fromarray(middle).resize((height, height), Image.Resampling.BICUBIC))
