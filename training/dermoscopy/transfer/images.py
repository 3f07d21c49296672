"""The JPEGs of all archives in memory, decoded to the finer grid when they are drawn."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.dermoscopy.preprocess import fine_square
from training.dermoscopy.ham10000.data import CLASSES, read_jpegs
from training.dermoscopy.transfer.archives import ARCHIVES, ISIC_ARCHIVE, DataPart, ListedImage

ISIC_ASPECT = 4 / 3  # of most originals of ISIC 2017; their source stretched them to a square


@dataclass(frozen=True, slots=True)
class TransferImages:
    """N images.

    ``jpegs`` N files; ``labels`` (N,) int64, index into CLASSES; ``archive`` (N,) int64, index into ARCHIVES; ``facts`` (N, FACTS)
    float32, age, sex and site; ``groups`` (N,) text, the lesion.
    """

    listed: tuple[ListedImage, ...]
    jpegs: tuple[bytes, ...]
    labels: np.ndarray
    archive: np.ndarray
    facts: np.ndarray
    groups: np.ndarray

    def of(self, part: DataPart) -> np.ndarray:
        """Indices of the images of one part."""
        return np.flatnonzero([image.part is part for image in self.listed])

    def squares(self, chosen: Sequence[int] | np.ndarray) -> np.ndarray:
        """(B, 224, 224, 3) uint8 sRGB of the images ``chosen``."""
        return np.stack([fine_square(frame_of(self.jpegs[i], self.listed[i].row.archive)) for i in chosen])


def load_transfer_images(data: Path, listed: Sequence[ListedImage]) -> TransferImages:
    """Read the files of ``listed``. Raises ModelError where an archive or an image is missing."""
    jpegs = read_jpegs(data, [image.row for image in listed])
    return TransferImages(
        listed=tuple(listed),
        jpegs=tuple(jpegs[image.row.image_id] for image in listed),
        labels=np.array([CLASSES.index(image.row.dx) for image in listed]),
        archive=np.array([ARCHIVES.index(image.row.archive) for image in listed]),
        facts=np.stack([image.row.patient.facts() for image in listed]),
        groups=np.array([image.row.lesion_id for image in listed]),
    )


def frame_of(jpeg: bytes, archive: str) -> np.ndarray:
    """(Y, X, 3) uint8 of which serving takes the largest centred square.

    ISIC 2017's squares are stretched: their middle, three quarters of the width, is the centre square of an original of 4 to 3. It is made
    square again by enlarging its width.
    """
    rgb = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    if archive != ISIC_ARCHIVE:
        return rgb
    height, width = rgb.shape[0], round(rgb.shape[1] / ISIC_ASPECT)
    left = (rgb.shape[1] - width) // 2
    middle = np.ascontiguousarray(rgb[:, left : left + width])
    return np.asarray(Image.fromarray(middle).resize((height, height), Image.Resampling.BICUBIC))
